//! Line plots as inline SVG.

use std::fmt::Write as _;

/// One line of a plot.
pub(super) struct PlotLine<'a> {
    pub name: &'a str,
    /// Color class of the page, `c0` to `c7`.
    pub colour: usize,
    pub points: Vec<(f64, f64)>,
}

/// Scale of an axis.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AxisScale {
    Linear,
    /// Linear with ticks at integers only, for counted seconds.
    Counted,
    Logarithmic,
}

/// A plot of several lines with common axes.
pub(super) struct LinePlot<'a> {
    pub title: &'a str,
    pub x: (AxisScale, &'a str),
    pub y: (AxisScale, &'a str),
    /// Formats a value of the axis.
    pub x_label: fn(f64) -> String,
    pub y_label: fn(f64) -> String,
    pub lines: Vec<PlotLine<'a>>,
    /// End of the warm-up on the x axis. The area before it is shaded, because no number of the
    /// tables includes it.
    pub warm_up: Option<f64>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 40.0;

impl LinePlot<'_> {
    /// Returns the plot as a figure with its legend. Empty if there is nothing to draw.
    pub(super) fn to_svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| line.points.iter().copied());
        let (Some(x), Some(y)) =
            (Axis::over(self.x.0, points().map(|point| point.0), false), Axis::over(self.y.0, points().map(|point| point.1), true))
        else {
            return String::new();
        };
        let mut svg = String::new();
        let _ = self.write(&mut svg, &x, &y);
        svg
    }

    fn write(&self, svg: &mut String, x: &Axis, y: &Axis) -> std::fmt::Result {
        write!(
            svg,
            "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            self.title, self.title
        )?;
        if let Some(end) = self.warm_up.filter(|end| *end > x.low) {
            let to = x.across(end.min(x.high));
            write!(
                svg,
                "<rect class=\"warm-up\" x=\"{LEFT}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\"><title>warm-up, not measured</title></rect>",
                to - LEFT,
                HEIGHT - TOP - BOTTOM
            )?;
        }
        self.write_axes(svg, x, y)?;
        self.write_lines(svg, x, y)?;
        svg.push_str("</svg><ul class=\"legend\">");
        for line in &self.lines {
            write!(svg, "<li><i class=\"c{}\"></i>{}</li>", line.colour % 8, line.name)?;
        }
        if self.warm_up.is_some_and(|end| end > x.low) {
            svg.push_str("<li><i class=\"warm-up\"></i>warm-up, not measured</li>");
        }
        svg.push_str("</ul></figure>");
        Ok(())
    }

    fn write_axes(&self, svg: &mut String, x: &Axis, y: &Axis) -> std::fmt::Result {
        for tick in x.ticks() {
            let at = x.across(tick);
            write!(svg, "<line class=\"grid\" x1=\"{at:.1}\" y1=\"{TOP}\" x2=\"{at:.1}\" y2=\"{:.1}\"/>", HEIGHT - BOTTOM)?;
            write!(svg, "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>", HEIGHT - BOTTOM + 15.0, (self.x_label)(tick))?;
        }
        for tick in y.ticks() {
            let at = y.down(tick);
            write!(svg, "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{:.1}\" y2=\"{at:.1}\"/>", WIDTH - RIGHT)?;
            write!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", LEFT - 6.0, at + 4.0, (self.y_label)(tick))?;
        }
        write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            (LEFT + WIDTH - RIGHT) / 2.0,
            HEIGHT - 6.0,
            self.x.1
        )?;
        write!(
            svg,
            "<text transform=\"rotate(-90)\" x=\"{:.1}\" y=\"14\" text-anchor=\"middle\">{}</text>",
            -(TOP + HEIGHT - BOTTOM) / 2.0,
            self.y.1
        )?;
        Ok(())
    }

    fn write_lines(&self, svg: &mut String, x: &Axis, y: &Axis) -> std::fmt::Result {
        for line in &self.lines {
            let path: String = line.points.iter().fold(String::new(), |mut path, (at, value)| {
                let _ = write!(path, "{:.1},{:.1} ", x.across(*at), y.down(*value));
                path
            });
            write!(svg, "<polyline class=\"c{}\" points=\"{path}\"/>", line.colour % 8)?;
            if line.points.len() <= 130 {
                for (at, value) in &line.points {
                    let what = format!("{}: {} at {}", line.name, (self.y_label)(*value), (self.x_label)(*at));
                    write!(
                        svg,
                        "<circle class=\"c{}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.5\"><title>{what}</title></circle>",
                        line.colour % 8,
                        x.across(*at),
                        y.down(*value)
                    )?;
                }
            }
        }
        Ok(())
    }
}

struct Axis {
    scale: AxisScale,
    low: f64,
    high: f64,
}

impl Axis {
    /// Returns the position of a value on the x axis.
    fn across(&self, value: f64) -> f64 {
        LEFT + self.place(value) * (WIDTH - LEFT - RIGHT)
    }

    /// Returns the position of a value on the y axis.
    fn down(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.place(value) * (HEIGHT - TOP - BOTTOM)
    }

    fn over(scale: AxisScale, values: impl Iterator<Item = f64>, from_zero: bool) -> Option<Self> {
        let values: Vec<f64> = values.filter(|value| value.is_finite() && (scale != AxisScale::Logarithmic || *value > 0.0)).collect();
        if values.is_empty() {
            return None;
        }
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Some(match scale {
            AxisScale::Linear | AxisScale::Counted => {
                let low = if from_zero { low.min(0.0) } else { low };
                Self { scale, low, high: if high > low { high } else { low + 1.0 } }
            }
            AxisScale::Logarithmic => {
                let low = if from_zero { 10f64.powf(low.log10().floor()) } else { low };
                let high = if from_zero { 10f64.powf(high.log10().ceil()) } else { high };
                Self { scale, low, high: if high > low { high } else { low * 10.0 } }
            }
        })
    }

    /// Returns the position of a value on the axis, from 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let part = match self.scale {
            AxisScale::Linear | AxisScale::Counted => (value - self.low) / (self.high - self.low),
            AxisScale::Logarithmic => (value.max(self.low) / self.low).ln() / (self.high / self.low).ln(),
        };
        part.clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<f64> {
        match self.scale {
            AxisScale::Logarithmic => {
                let (from, to) = (self.low.log10().ceil() as i32, self.high.log10().floor() as i32);
                (from..=to).map(|power| 10f64.powi(power)).collect()
            }
            AxisScale::Linear | AxisScale::Counted => {
                let rough = (self.high - self.low) / 6.0;
                let power = 10f64.powf(rough.log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= rough).unwrap_or(rough);
                let step = if self.scale == AxisScale::Counted { step.max(1.0) } else { step };
                let first = (self.low / step).ceil() as i64;
                (first..).map(|count| count as f64 * step).take_while(|tick| *tick <= self.high + step * 1e-9).take(20).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers_inside_the_axis() {
        let linear = Axis { scale: AxisScale::Linear, low: 0.0, high: 130_000.0 };
        assert_eq!(linear.ticks(), [0.0, 50_000.0, 100_000.0]);
        assert_eq!(Axis { scale: AxisScale::Counted, low: 0.0, high: 2.0 }.ticks(), [0.0, 1.0, 2.0]);
        let logarithmic = Axis::over(AxisScale::Logarithmic, [35.0, 2_500.0].into_iter(), true).unwrap();
        assert_eq!(logarithmic.ticks(), [10.0, 100.0, 1_000.0, 10_000.0]);
        assert!((logarithmic.place(100.0) - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn the_warm_up_is_shaded_up_to_its_end() {
        let plot = |warm_up: Option<f64>| LinePlot {
            title: "t",
            x: (AxisScale::Counted, "second"),
            y: (AxisScale::Linear, "y"),
            x_label: |value| format!("{value}"),
            y_label: |value| format!("{value}"),
            lines: vec![PlotLine { name: "l", colour: 0, points: vec![(0.0, 1.0), (5.0, 2.0), (10.0, 3.0)] }],
            warm_up,
        };
        assert!(plot(Some(2.0)).to_svg().contains("class=\"warm-up\" x=\"76\" y=\"12\" width=\"126.4\""));
        assert!(!plot(None).to_svg().contains("warm-up"));
    }

    #[test]
    fn a_plot_of_nothing_is_nothing_and_of_one_value_does_not_divide_by_zero() {
        let plot = |points: Vec<(f64, f64)>| LinePlot {
            title: "t",
            x: (AxisScale::Linear, "x"),
            y: (AxisScale::Logarithmic, "y"),
            x_label: |value| format!("{value}"),
            y_label: |value| format!("{value}"),
            lines: vec![PlotLine { name: "l", colour: 0, points }],
            warm_up: None,
        };
        assert_eq!(plot(Vec::new()).to_svg(), "");
        assert!(!plot(vec![(1.0, 1.0)]).to_svg().contains("NaN"));
    }
}
