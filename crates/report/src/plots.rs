//! The plots. The only module that knows the library that draws them.

use kuva::backend::svg::SvgBackend;
use kuva::plot::LabelStyle;
use kuva::plot::line::LinePlot;
use kuva::plot::scatter::ScatterPlot;
use kuva::render::layout::{Layout, TickFormat};
use kuva::render::plots::Plot;
use kuva::render::render::render_multiple;
use kuva::render::theme::Theme;
use offshoot_train::{Answered, Comparison, Measure, RunReport};
use std::sync::Arc;

/// Colours that a page sets for light and dark; alone, a file shows the second one.
const TEXT: &str = "var(--text, #1a1a1a)";
const GRID: &str = "var(--grid, #dddddd)";
const ACCENT: &str = "var(--accent, #0b6e4f)";
const OTHER: &str = "var(--other, #8a8a8a)";
const BARS: &str = "var(--bars, #c4c6c8)";
const PAPER: &str = "var(--paper, #ffffff)";

/// What the names of drawings begin with that show how a method learnt.
pub(crate) const CURVE: &str = "curve-";
/// And of those that show numbers as they are and as they were said.
pub(crate) const NUMBERS: &str = "numbers-";

/// A drawing with what it shows.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Figure {
    /// The name of its file, without the ending.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// How to read it.
    pub caption: String,
    /// The drawing.
    pub svg: String,
}

/// Quality against each of what it costs, and how each method learnt.
pub fn plots(comparison: &Comparison) -> Vec<Figure> {
    let costs = [
        Cost {
            name: "parameters",
            axis: "trained parameters",
            of: |row| Some(row.trainable_parameters.max(1) as f64),
        },
        Cost { name: "time", axis: "seconds of training", of: |row| Some(row.train_seconds.max(0.1)) },
        Cost { name: "memory", axis: "peak memory, MB", of: |row| Some(row.peak_rss_bytes? as f64 / 1e6) },
    ];
    let against = costs.iter().filter_map(|cost| against(comparison, cost));
    let sizes = [by_rows(comparison), by_values(comparison)].into_iter().flatten();
    let of_methods = |drawn: fn(&RunReport) -> Option<Figure>| comparison.rows.iter().filter_map(drawn);
    against.chain(sizes).chain(of_methods(numbers)).chain(of_methods(learning)).collect()
}

/// What each method reached on how many rows.
fn by_rows(comparison: &Comparison) -> Option<Figure> {
    let sizes = comparison.sizes();
    let of =
        |method: &str| sizes.iter().filter_map(|&size| Some((size, comparison.on(method, size)?))).collect();
    let figure = curves(comparison, ("quality-rows", "rows to train on"), of)?;
    let told = comparison.more_rows().map(|more| format!(" More rows: {more}.")).unwrap_or_default();
    let caption = format!("Each part begins with the smaller ones. {}{told}", figure.caption);
    Some(Figure { caption, ..figure })
}

/// What each method reached with how many trained values.
fn by_values(comparison: &Comparison) -> Option<Figure> {
    let of = |method: &str| {
        comparison.by_values(method).into_iter().map(|row| (row.trainable_parameters, row)).collect()
    };
    let figure = curves(comparison, ("quality-values", "trained values, one method at several sizes"), of)?;
    let caption = format!("Each method was made as large as the others. {}", figure.caption);
    Some(Figure { caption, ..figure })
}

/// Runs of one method, each with the size that it was run at.
type Sized<'a> = Vec<(usize, &'a RunReport)>;

/// Quality by size, a line for each method that was run at several.
fn curves<'a>(
    comparison: &'a Comparison,
    (name, axis): (&str, &str),
    of: impl Fn(&'a str) -> Sized<'a>,
) -> Option<Figure> {
    let all = comparison.rows.iter().filter(|row| row.error.is_none());
    let series: Vec<Series<'_>> = all.filter_map(|row| Series::of(&row.method, &of(&row.method))).collect();
    let reach = Reach::over(&series)?;
    let recommended = |series: &Series<'_>| comparison.recommended.as_deref() == Some(series.method);
    let mut plots: Vec<Plot> = series.iter().map(|series| series.line(recommended(series))).collect();
    plots.extend(names(&series, reach.names));
    let measure = comparison.measure();
    let layout = Layout::auto_from_plots(&plots)
        .with_width(900.0)
        .with_height(430.0)
        .with_log_x()
        .with_x_axis_max(reach.end)
        .with_x_tick_format(TickFormat::Custom(Arc::new(short)))
        .with_x_label(axis)
        .with_y_label(measure.axis());
    Some(Figure {
        svg: draw(name, plots, layout),
        name: name.to_owned(),
        title: format!("{} against {axis}", capital(measure)),
        caption: "The recommended method is in colour.".to_owned(),
    })
}

/// What a method reached, by size.
struct Series<'a> {
    method: &'a str,
    points: Vec<(f64, f64)>,
}

impl<'a> Series<'a> {
    /// None where nothing was reached.
    fn of(method: &'a str, sized: &Sized<'_>) -> Option<Self> {
        let point = |(size, row): &(usize, &RunReport)| Some((*size as f64, quality(row)?.0));
        let points: Vec<(f64, f64)> = sized.iter().filter_map(point).collect();
        (!points.is_empty()).then_some(Self { method, points })
    }

    fn line(&self, recommended: bool) -> Plot {
        let (color, width) = if recommended { (ACCENT, 2.5) } else { (BARS, 1.5) };
        let line = LinePlot::new().with_data(self.points.iter().copied());
        Plot::Line(line.with_color(color).with_stroke_width(width))
    }
}

/// A logarithmic axis that leaves its last part to names.
struct Reach {
    /// Where names are centred.
    names: f64,
    end: f64,
}

impl Reach {
    /// For all points of some series; none if there is none.
    fn over(series: &[Series<'_>]) -> Option<Self> {
        let sizes = || series.iter().flat_map(|series| &series.points).map(|point| point.0);
        let first = sizes().reduce(f64::min)?;
        Some(Self::of(first, sizes().fold(first, f64::max)))
    }

    /// The part of the axis that the series take; it begins with a power of ten.
    const SERIES: f64 = 0.84;

    /// For series between two places.
    fn of(first: f64, last: f64) -> Self {
        let start = first.log10().floor();
        let at = |part: f64| 10f64.powf(start + (last.log10() - start).max(0.1) * part / Self::SERIES);
        Self { names: at(0.5 + Self::SERIES / 2.0), end: at(1.0) }
    }
}

/// Names that fit one below the other between the lowest and the highest point.
const NAMES: f64 = 22.0;

/// The ends of the series, and the names beside them at `place`, none over another.
fn names<'a>(series: &'a [Series<'_>], place: f64) -> [Plot; 2] {
    let end = |series: &'a Series<'_>| Some((series.method, *series.points.last()?));
    let mut ends: Vec<(&str, (f64, f64))> = series.iter().filter_map(end).collect();
    ends.sort_by(|a, b| a.1.1.total_cmp(&b.1.1));
    let all = || series.iter().flat_map(|series| &series.points).map(|point| point.1);
    let range = all().fold(f64::NEG_INFINITY, f64::max) - all().fold(f64::INFINITY, f64::min);
    let heights: Vec<f64> = ends.iter().map(|&(_, end)| end.1).collect();
    let apart = apart(&heights, range.max(1e-3) / NAMES);
    let dots = ScatterPlot::new().with_data(ends.iter().map(|&(_, end)| end));
    let names = ScatterPlot::new().with_data(apart.iter().map(|&height| (place, height)));
    [
        Plot::Scatter(dots.with_color(OTHER).with_size(4.0)),
        Plot::Scatter(
            names
                .with_size(0.0)
                .with_labels(ends.iter().map(|&(method, _)| method))
                .with_label_style(LabelStyle::Exact),
        ),
    ]
}

/// Heights at least `gap` apart, in the order of `values`, which rise, and as near to them as can be: their squared
/// distances are least. (Less `gap` a step they may only rise: isotonic regression, by pooling neighbours.)
fn apart(values: &[f64], gap: f64) -> Vec<f64> {
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for (i, value) in values.iter().enumerate() {
        let mut pool = (value - gap * i as f64, 1);
        while let Some(&(mean, count)) = pools.last().filter(|(mean, _)| *mean > pool.0) {
            pools.pop();
            let all = count + pool.1;
            pool = ((mean * count as f64 + pool.0 * pool.1 as f64) / all as f64, all);
        }
        pools.push(pool);
    }
    let level = pools.iter().flat_map(|&(mean, count)| std::iter::repeat_n(mean, count));
    level.enumerate().map(|(i, level)| level + gap * i as f64).collect()
}

/// What a method costs.
struct Cost {
    name: &'static str,
    axis: &'static str,
    of: fn(&RunReport) -> Option<f64>,
}

/// A method in a plot.
struct Mark<'a> {
    method: &'a str,
    cost: f64,
    quality: f64,
    /// Half of the interval that holds the true quality 95 times in 100.
    error: f64,
}

fn mark<'a>(row: &'a RunReport, cost: &Cost) -> Option<Mark<'a>> {
    let (quality, error) = quality(row)?;
    Some(Mark { method: &row.method, cost: (cost.of)(row)?, quality, error })
}

/// What methods are ranked by, as it is plotted; with what test rows alone leave open, or seeds if that is more.
fn quality(row: &RunReport) -> Option<(f64, f64)> {
    let (measure, value) = row.score()?.ranked();
    let open = row.left_open().max(row.spread().unwrap_or(0.0));
    Some((measure.plotted(value), measure.plotted(open)))
}

fn against(comparison: &Comparison, cost: &Cost) -> Option<Figure> {
    let marks: Vec<Mark<'_>> = comparison.rows.iter().filter_map(|row| mark(row, cost)).collect();
    if marks.is_empty() {
        return None;
    }
    let measure = comparison.measure();
    let (plots, layout) = scatter(&marks, comparison.recommended.as_deref(), (cost.axis, measure.axis()));
    let bars = format!(" Bars hold the true {} 95 times in 100.", measure.name());
    let bars = if comparison.by_rows() { bars } else { String::new() };
    let none = if cost.name == "parameters" { " What trains nothing stands at 1." } else { "" };
    let name = format!("quality-{}", cost.name);
    Some(Figure {
        svg: draw(&name, plots, layout),
        name,
        title: format!("{} against {}", capital(measure), cost.axis),
        caption: format!("The recommended method is filled in colour.{bars}{none}"),
    })
}

fn scatter(marks: &[Mark<'_>], recommended: Option<&str>, (x, y): (&str, &str)) -> (Vec<Plot>, Layout) {
    let color = |mark: &Mark<'_>| if Some(mark.method) == recommended { ACCENT } else { OTHER };
    let plot = ScatterPlot::new()
        .with_data(marks.iter().map(|mark| (mark.cost, mark.quality)))
        .with_y_err(marks.iter().map(|mark| mark.error))
        .with_colors(marks.iter().map(color))
        .with_color(BARS)
        .with_size(5.0)
        .with_labels(marks.iter().map(|mark| mark.method))
        .with_label_style(LabelStyle::Repel);
    let plots = vec![Plot::Scatter(plot)];
    let layout = Layout::auto_from_plots(&plots)
        .with_width(900.0)
        .with_height(430.0)
        .with_log_x()
        // A mark at the edge would be cut in half.
        .with_x_axis_max(1.6 * marks.iter().map(|mark| mark.cost).fold(1.0, f64::max))
        .with_x_tick_format(TickFormat::Custom(Arc::new(short)))
        .with_x_label(x)
        .with_y_label(y);
    (plots, layout)
}

/// A measure's name at the beginning of a title.
fn capital(measure: Measure) -> String {
    let name = measure.name();
    name.chars().take(1).flat_map(char::to_uppercase).chain(name.chars().skip(1)).collect()
}

/// Marks of a drawing of numbers at most: the first of them. More are a blot.
const MARKS: usize = 2000;

/// What a method's first run said against what is, for numbers.
fn numbers(row: &RunReport) -> Option<Figure> {
    let answers = row.runs().first()?.answers.as_ref().filter(|answers| answers.count() > Some(0))?;
    let Answered::Numbers { wanted, numbers } = &answers.said else { return None };
    let pairs = || wanted.iter().copied().zip(numbers.iter().copied()).take(MARKS);
    let (least, most) =
        wanted.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &x| (a.min(x), b.max(x)));
    let right =
        LinePlot::new().with_data([(least, least), (most, most)]).with_color(BARS).with_stroke_width(1.5);
    let said = ScatterPlot::new().with_data(pairs()).with_color(ACCENT).with_size(3.0);
    let plots = vec![Plot::Line(right), Plot::Scatter(said)];
    let layout = Layout::auto_from_plots(&plots)
        .with_width(320.0)
        .with_height(260.0)
        .with_x_label("label")
        .with_y_label("answer");
    let name = file_name(&format!("{NUMBERS}{}", row.method));
    let svg = draw(&name, plots, layout);
    Some(Figure { name, title: row.method.clone(), caption: String::new(), svg })
}

/// `20`, `10k`, `5M`
fn short(number: f64) -> String {
    match number {
        n if n >= 1e6 => format!("{}M", n / 1e6),
        n if n >= 1e3 => format!("{}k", n / 1e3),
        n => format!("{n}"),
    }
}

/// The loss of a method's first run, and what the validation rows said after each epoch.
fn learning(row: &RunReport) -> Option<Figure> {
    let run = row.runs().first().filter(|run| run.curve.len() > 1)?;
    let last = run.curve.last()?.step as f64;
    let trained = LinePlot::new()
        .with_data(run.curve.iter().map(|point| (point.step as f64, point.loss)))
        .with_color(OTHER)
        .with_stroke_width(1.5);
    let epochs = run.validations.len().max(1) as f64;
    let at = |epoch: usize| last * (epoch + 1) as f64 / epochs;
    let validated = ScatterPlot::new()
        .with_data(run.validations.iter().enumerate().map(|(epoch, score)| (at(epoch), score.loss())))
        .with_color(ACCENT)
        .with_size(4.0);
    let plots = vec![Plot::Line(trained), Plot::Scatter(validated)];
    let layout = Layout::auto_from_plots(&plots)
        .with_width(320.0)
        .with_height(220.0)
        .with_x_label("step")
        .with_y_label("loss");
    let name = file_name(&format!("{CURVE}{}", row.method));
    let svg = draw(&name, plots, layout);
    Some(Figure { name, title: row.method.clone(), caption: String::new(), svg })
}

/// A name that is one on every file system: a method's may hold the folder that it is from.
fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect()
}

fn draw(name: &str, plots: Vec<Plot>, layout: Layout) -> String {
    let theme = Theme {
        background: "none".into(),
        axis_color: TEXT.into(),
        grid_color: GRID.into(),
        tick_color: TEXT.into(),
        text_color: TEXT.into(),
        legend_bg: PAPER.into(),
        legend_border: GRID.into(),
        ..Theme::light()
    };
    let scene = render_multiple(plots, layout.with_theme(theme));
    let size = format!(r#"width="{}" height="{}""#, scene.width, scene.height);
    let view = format!(r#"viewBox="0 0 {} {}" role="img""#, scene.width, scene.height);
    // A drawing takes the width that it is given, and on one page with others its parts have names of their own.
    let svg = SvgBackend::new().render_scene(&scene).replacen(&size, &view, 1);
    svg.replace("id=\"", &format!("id=\"{name}-")).replace("url(#", &format!("url(#{name}-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_apart_and_near_their_lines() {
        for (values, gap, expected) in [
            // There is room.
            (vec![1.0, 5.0, 9.0], 2.0, vec![1.0, 5.0, 9.0]),
            // Both give way.
            (vec![4.0, 4.0], 2.0, vec![3.0, 5.0]),
            // One is far from where the others crowd.
            (vec![0.0, 10.0, 10.0, 11.0], 1.0, vec![0.0, 28.0 / 3.0, 31.0 / 3.0, 34.0 / 3.0]),
            // What was pushed up meets the next one, and all three give way.
            (vec![4.0, 4.0, 5.0], 2.0, vec![7.0 / 3.0, 13.0 / 3.0, 19.0 / 3.0]),
        ] {
            let found = apart(&values, gap);
            let near = found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-9);
            assert!(near && found.len() == expected.len(), "{values:?}: {found:?}");
        }
        assert!(apart(&[], 2.0).is_empty());
    }

    #[test]
    fn names_stand_behind_the_lines_on_the_axis() {
        let reach = Reach::of(50.0, 2000.0);
        assert!(reach.names > 2000.0 && reach.end > reach.names);
        let share = (2000f64 / 10.0).log10() / (reach.end / 10.0).log10();
        assert!((share - Reach::SERIES).abs() < 1e-9);
    }
}
