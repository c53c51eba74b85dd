//! So much of a terminal as progress bars need: what is on the screen after some output.

/// How a character is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) bold: bool,
    pub(super) dim: bool,
    /// One of the eight colours, if it is not the text's own.
    pub(super) color: Option<u8>,
}

/// A character of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) character: char,
    pub(super) look: Look,
}

const BLANK: Cell = Cell { character: ' ', look: Look { bold: false, dim: false, color: None } };

/// A screen.
pub(super) struct Screen {
    columns: usize,
    lines: Vec<Vec<Cell>>,
    row: usize,
    column: usize,
    look: Look,
}

impl Screen {
    /// An empty one of so many columns and rows.
    pub(super) fn new((columns, rows): (usize, usize)) -> Self {
        Self { columns, lines: vec![vec![BLANK; columns]; rows], row: 0, column: 0, look: Look::default() }
    }

    /// The lines from the top.
    pub(super) fn lines(&self) -> &[Vec<Cell>] {
        &self.lines
    }

    /// Shows output.
    pub(super) fn write(&mut self, output: &str) {
        let mut rest = output.chars();
        while let Some(character) = rest.next() {
            match character {
                '\n' => self.feed(),
                '\r' => self.column = 0,
                '\u{1b}' => self.escape(&mut rest),
                character if character.is_control() => {}
                character => self.put(character),
            }
        }
    }

    fn put(&mut self, character: char) {
        if self.column == self.columns {
            self.column = 0;
            self.feed();
        }
        self.lines[self.row][self.column] = Cell { character, look: self.look };
        self.column += 1;
    }

    /// One line down; at the bottom everything moves up.
    fn feed(&mut self) {
        if self.row + 1 < self.lines.len() {
            self.row += 1;
            return;
        }
        self.lines.remove(0);
        self.lines.push(vec![BLANK; self.columns]);
    }

    /// A sequence `ESC [ numbers letter`; others are passed over.
    fn escape(&mut self, rest: &mut std::str::Chars<'_>) {
        if rest.next() != Some('[') {
            return;
        }
        let mut numbers = String::new();
        for character in rest {
            if character.is_ascii_alphabetic() {
                return self.control(character, &numbers);
            }
            numbers.push(character);
        }
    }

    fn control(&mut self, letter: char, numbers: &str) {
        let number = |missing: usize| numbers.parse().unwrap_or(missing);
        let column = self.column.min(self.columns);
        match (letter, number(0)) {
            ('A', _) => self.row = self.row.saturating_sub(number(1)),
            ('B', _) => self.row = (self.row + number(1)).min(self.lines.len() - 1),
            ('G', _) => self.column = number(1).saturating_sub(1).min(self.columns),
            ('K', 0) => self.lines[self.row][column..].fill(BLANK),
            ('K', _) => self.lines[self.row].fill(BLANK),
            ('J', 0) => {
                self.lines[self.row][column..].fill(BLANK);
                self.lines[self.row + 1..].iter_mut().for_each(|line| line.fill(BLANK));
            }
            ('m', _) => numbers.split(';').for_each(|number| self.change(number.parse().unwrap_or(0))),
            _ => {}
        }
    }

    fn change(&mut self, code: u8) {
        match code {
            0 => self.look = Look::default(),
            1 => self.look.bold = true,
            2 => self.look.dim = true,
            22 => (self.look.bold, self.look.dim) = (false, false),
            30..=37 => self.look.color = Some(code - 30),
            39 => self.look.color = None,
            _ => {}
        }
    }

    /// The characters of each line, without the blanks at its end.
    #[cfg(test)]
    pub(super) fn text(&self) -> Vec<String> {
        let text = |line: &Vec<Cell>| line.iter().map(|cell| cell.character).collect::<String>();
        self.lines.iter().map(|line| text(line).trim_end().to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(output: &str) -> Vec<String> {
        let mut screen = Screen::new((6, 3));
        screen.write(output);
        screen.text()
    }

    #[test]
    fn text_wraps_and_scrolls() {
        assert_eq!(shown("a\r\nb"), ["a", "b", ""]);
        assert_eq!(shown("abcdefgh"), ["abcdef", "gh", ""]);
        assert_eq!(shown("1\r\n2\r\n3\r\n4"), ["2", "3", "4"]);
    }

    #[test]
    fn a_bar_is_drawn_over_the_one_before() {
        assert_eq!(shown("old\r\x1b[2Knew"), ["new", "", ""]);
        assert_eq!(shown("one\r\ntwo\r\x1b[1A\x1b[JX"), ["X", "", ""]);
        assert_eq!(shown("abc\r\x1b[Bd\x1b[3Ge\x1b[99A\x1b[?25lf"), ["abcf", "d e", ""]);
    }

    #[test]
    fn colours_go_with_characters() {
        let mut screen = Screen::new((4, 1));
        screen.write("\x1b[1;32ma\x1b[0mb\x1b[7m");
        let looks: Vec<Look> = screen.lines()[0][..2].iter().map(|cell| cell.look).collect();
        assert_eq!(looks, [Look { bold: true, color: Some(2), dim: false }, Look::default()]);
    }
}
