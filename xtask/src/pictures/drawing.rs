//! A screen as a drawing.

use super::screen::{Cell, Screen};

/// Width of a character and height of a line, for a font of 13.
const CELL: (f64, f64) = (7.83, 18.0);
const MARGIN: f64 = 14.0;

/// The eight colours, on a dark ground.
const COLORS: [&str; 8] =
    ["#3b4048", "#e06c75", "#8cc265", "#d7ba7d", "#61afef", "#c678dd", "#56b6c2", "#d7dae0"];

/// The screen as an SVG file.
pub(super) fn svg(screen: &Screen) -> String {
    let lines = screen.lines();
    let used = lines
        .iter()
        .rposition(|line| line.iter().any(|cell| cell.character != ' '))
        .map_or(0, |last| last + 1);
    let columns = lines.first().map_or(0, Vec::len);
    let (width, height) = (columns as f64 * CELL.0 + 2.0 * MARGIN, used as f64 * CELL.1 + 2.0 * MARGIN);
    let rows: String = lines[..used].iter().enumerate().map(|(row, line)| text(row, line)).collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#1e2127\"/>\n\
         <g font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"13\" \
         fill=\"#d7dae0\">\n{rows}</g>\n</svg>\n"
    )
}

/// A line, a piece for each look.
fn text(row: usize, line: &[Cell]) -> String {
    let y = MARGIN + (row as f64 + 0.75) * CELL.1;
    let mut pieces = String::new();
    let mut column = 0;
    for piece in line.chunk_by(|a, b| a.look == b.look) {
        let all: String = piece.iter().map(|cell| cell.character).collect();
        // Blanks at either end would be dropped, and the rest be stretched over their place.
        let (text, before) = (all.trim(), all.chars().count() - all.trim_start().chars().count());
        let x = MARGIN + (column + before) as f64 * CELL.0;
        let length = text.chars().count() as f64 * CELL.0;
        column += piece.len();
        if text.is_empty() {
            continue;
        }
        let look = look(piece[0]);
        pieces += &format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{length:.1}\"{look}>{}</text>\n",
            escaped(text)
        );
    }
    pieces
}

fn look(cell: Cell) -> String {
    let look = cell.look;
    let mut attributes = String::new();
    if let Some(color) = look.color.and_then(|color| COLORS.get(usize::from(color))) {
        attributes += &format!(" fill=\"{color}\"");
    }
    if look.bold {
        attributes += " font-weight=\"bold\"";
    }
    if look.dim {
        attributes += " opacity=\"0.6\"";
    }
    attributes
}

/// Blanks as such that are never drawn as one.
fn escaped(text: &str) -> String {
    text.replace(' ', "\u{a0}").replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_is_drawn_piece_by_piece() {
        let mut screen = Screen::new((8, 4));
        screen.write("a<b\r\n\x1b[32mok\x1b[0m no");
        let drawn = svg(&screen);
        assert!(drawn.contains(">a&lt;b</text>"), "{drawn}");
        assert!(drawn.contains("fill=\"#8cc265\">ok</text>") && drawn.contains(">no</text>"), "{drawn}");
        assert_eq!(drawn.matches("<text").count(), 3, "blank lines are not drawn");
    }
}
