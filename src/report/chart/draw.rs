//! The drawing itself, in pixels.

use std::sync::OnceLock;

use jiff::Timestamp;
use plotters::backend::BitMapBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{PathElement, Rectangle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{
    Color, FontStyle, FontTransform, IntoFont, RGBColor, ShapeStyle, TextStyle, register_font,
};

use super::data::{Chart, ChartError, MAX_POINTS, MAX_SERIES, Series, clean};
use super::scale::step;

const WIDTH: i32 = 1_200;
const HEIGHT: i32 = 675;
/// The lines are drawn in here; labels stand around it.
const LEFT: i32 = 140;
const RIGHT: i32 = 950;
const TOP: i32 = 150;
const BOTTOM: i32 = 600;

const PAPER: RGBColor = RGBColor(251, 251, 251);
const INK: RGBColor = RGBColor(30, 34, 40);
const FAINT: RGBColor = RGBColor(214, 218, 224);
const SOFT: RGBColor = RGBColor(96, 104, 114);
const LIMIT: RGBColor = RGBColor(200, 30, 30);

/// Okabe and Ito's colours, the yellow left out: it does not show on light paper.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
    RGBColor(120, 120, 120),
];

/// Name of the embedded font among plotters' fonts.
const FONT: &str = "treasury-bot";

type Paper<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

fn wrong(error: impl std::fmt::Display) -> ChartError {
    ChartError(error.to_string())
}

impl Chart {
    /// The picture, 1200 × 675 pixels.
    pub fn png(&self) -> Result<Vec<u8>, ChartError> {
        fonts()?;
        let mut pixels = vec![0_u8; (WIDTH * HEIGHT * 3) as usize];
        {
            let backend = BitMapBackend::with_buffer(&mut pixels, (WIDTH as u32, HEIGHT as u32));
            let paper = backend.into_drawing_area();
            draw(&paper, self)?;
            paper.present().map_err(wrong)?;
        }
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, WIDTH as u32, HEIGHT as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().map_err(wrong)?;
        writer.write_image_data(&pixels).map_err(wrong)?;
        writer.finish().map_err(wrong)?;
        Ok(bytes)
    }
}

fn fonts() -> Result<(), ChartError> {
    static READY: OnceLock<bool> = OnceLock::new();
    let ready = READY.get_or_init(|| {
        let normal = register_font(FONT, FontStyle::Normal, dejavu::sans::regular());
        let bold = register_font(FONT, FontStyle::Bold, dejavu::sans::bold());
        normal.is_ok() && bold.is_ok()
    });
    if *ready {
        Ok(())
    } else {
        Err(ChartError("the embedded font can't be read".to_owned()))
    }
}

/// Where values and moments stand.
struct Frame {
    from: f64,
    to: f64,
    /// Nothing, or the lowest value below that.
    bottom: f64,
    top: f64,
    step: f64,
}

impl Frame {
    fn of(chart: &Chart) -> Self {
        let values = chart.series.iter().take(MAX_SERIES).flat_map(|s| &s.points);
        let values = values
            .map(|(_, value)| *value)
            .chain(chart.limit.iter().map(|(_, limit)| *limit))
            .filter(|value| value.is_finite() && value.abs() < 1e18);
        let highest = values.clone().fold(0.0, f64::max);
        let lowest = values.fold(0.0, f64::min);
        let highest = if highest > lowest { highest } else { 1.0 };
        let step = step(chart.unit, highest - lowest);
        let (from, to) = (seconds(chart.from), seconds(chart.to));
        Self {
            from,
            to: to.max(from + 1.0),
            bottom: (lowest / step).floor() * step,
            // Some air above the highest.
            top: (highest * 1.04 / step).ceil() * step,
            step,
        }
    }

    fn x(&self, at: Timestamp) -> i32 {
        let share = (seconds(at) - self.from) / (self.to - self.from);
        LEFT + (share.clamp(0.0, 1.0) * f64::from(RIGHT - LEFT)) as i32
    }

    fn y(&self, value: f64) -> i32 {
        let share = ((value - self.bottom) / (self.top - self.bottom)).clamp(0.0, 1.0);
        BOTTOM - (share * f64::from(BOTTOM - TOP)) as i32
    }

    fn holds(&self, at: Timestamp) -> bool {
        (self.from..=self.to).contains(&seconds(at))
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1_000.0
}

/// The style of a text: size in pixels, colour, weight, and which of its corners is placed.
fn style(size: i32, colour: RGBColor, bold: bool, h: HPos, v: VPos) -> TextStyle<'static> {
    let weight = if bold {
        FontStyle::Bold
    } else {
        FontStyle::Normal
    };
    let font = (FONT, f64::from(size), weight).into_font();
    let mut style = TextStyle::from(font.transform(FontTransform::None)).pos(Pos::new(h, v));
    style.color = colour.to_backend_color();
    style
}

fn write(
    paper: &Paper<'_>,
    text: &str,
    style: &TextStyle<'_>,
    at: (i32, i32),
) -> Result<(), ChartError> {
    paper.draw_text(text, style, at).map_err(wrong)
}

fn line(
    paper: &Paper<'_>,
    points: Vec<(i32, i32)>,
    colour: RGBColor,
    width: u32,
) -> Result<(), ChartError> {
    let style = ShapeStyle::from(&colour).stroke_width(width);
    paper.draw(&PathElement::new(points, style)).map_err(wrong)
}

/// A dashed line: pieces of 14 pixels with gaps of 10.
fn dashed(
    paper: &Paper<'_>,
    (x0, y0): (i32, i32),
    (x1, y1): (i32, i32),
    colour: RGBColor,
) -> Result<(), ChartError> {
    let (dx, dy) = (f64::from(x1 - x0), f64::from(y1 - y0));
    let length = dx.hypot(dy);
    let at = |along: f64| {
        let share = (along / length).min(1.0);
        (x0 + (dx * share) as i32, y0 + (dy * share) as i32)
    };
    let mut along = 0.0;
    while along < length {
        line(paper, vec![at(along), at(along + 14.0)], colour, 3)?;
        along += 24.0;
    }
    Ok(())
}

fn draw(paper: &Paper<'_>, chart: &Chart) -> Result<(), ChartError> {
    paper.fill(&PAPER).map_err(wrong)?;
    let frame = Frame::of(chart);
    let title = style(44, INK, true, HPos::Left, VPos::Center);
    write(paper, &clean(&chart.title, 44), &title, (40, 46))?;
    let mut subtitle = clean(&chart.subtitle, 74);
    if let Some(left_out) = chart.left_out() {
        subtitle = format!("{left_out}. {subtitle}");
    }
    let small = style(28, SOFT, false, HPos::Left, VPos::Center);
    write(paper, &clean(&subtitle, 74), &small, (40, 98))?;
    axes(paper, chart, &frame)?;
    marks(paper, chart, &frame)?;
    if let Some((name, limit)) = chart.limit.as_ref().filter(|(_, limit)| limit.is_finite()) {
        let y = frame.y(*limit);
        dashed(paper, (LEFT, y), (RIGHT, y), LIMIT)?;
        let text = format!("{} {}", clean(name, 16), chart.unit.text(*limit));
        let style = style(26, LIMIT, true, HPos::Left, VPos::Bottom);
        write(paper, &text, &style, (LEFT + 10, y - 4))?;
    }
    let ends = lines(paper, chart, &frame)?;
    if let Some((start, low, end, high)) =
        chart.trend.filter(|t| t.1.is_finite() && t.3.is_finite())
    {
        let points = (
            (frame.x(start), frame.y(low)),
            (frame.x(end), frame.y(high)),
        );
        dashed(paper, points.0, points.1, INK)?;
    }
    labels(paper, ends)?;
    if chart.series.iter().all(|series| series.points.is_empty()) {
        let style = style(48, SOFT, true, HPos::Center, VPos::Center);
        let middle = (i32::midpoint(LEFT, RIGHT), i32::midpoint(TOP, BOTTOM));
        write(paper, "no data", &style, middle)?;
    }
    Ok(())
}

fn axes(paper: &Paper<'_>, chart: &Chart, frame: &Frame) -> Result<(), ChartError> {
    let left = style(26, SOFT, false, HPos::Right, VPos::Center);
    let count = ((frame.top - frame.bottom) / frame.step)
        .round()
        .clamp(1.0, 8.0) as i32;
    for n in 0..=count {
        let value = frame.bottom + frame.step * f64::from(n);
        let is_zero = value.abs() < frame.step / 2.0;
        let value = if is_zero { 0.0 } else { value };
        let y = frame.y(value);
        let width = if is_zero { 3 } else { 1 };
        line(paper, vec![(LEFT, y), (RIGHT, y)], FAINT, width)?;
        write(paper, &chart.unit.text(value), &left, (LEFT - 12, y))?;
    }
    let below = style(26, SOFT, false, HPos::Center, VPos::Top);
    let span = frame.to - frame.from;
    let format = if span > 86_400.0 {
        "%d %b %H:%M"
    } else if span < 300.0 {
        "%H:%M:%S"
    } else {
        "%H:%M"
    };
    for n in 0..=4 {
        let at = chart.from + std::time::Duration::from_secs_f64(span * f64::from(n) / 4.0);
        let text = at.strftime(format).to_string();
        write(paper, &text, &below, (frame.x(at), BOTTOM + 16))?;
    }
    let unit = style(22, SOFT, false, HPos::Right, VPos::Top);
    write(paper, "UTC", &unit, (WIDTH - 40, BOTTOM + 18))
}

fn marks(paper: &Paper<'_>, chart: &Chart, frame: &Frame) -> Result<(), ChartError> {
    let style = style(24, INK, false, HPos::Center, VPos::Bottom);
    let mut last = i32::MIN;
    for (at, what) in chart.marks.iter().filter(|(at, _)| frame.holds(*at)) {
        let x = frame.x(*at);
        line(paper, vec![(x, TOP), (x, BOTTOM)], INK, 2)?;
        // Names that would run into each other are left out; their lines stay.
        if x.saturating_sub(last) > 130 {
            write(
                paper,
                &clean(what, 16),
                &style,
                (x.clamp(LEFT + 60, RIGHT - 60), TOP - 4),
            )?;
            last = x;
        }
    }
    Ok(())
}

/// Draws the lines and returns where each ends, with its name and colour.
fn lines(
    paper: &Paper<'_>,
    chart: &Chart,
    frame: &Frame,
) -> Result<Vec<(i32, String, RGBColor)>, ChartError> {
    let mut ends = Vec::new();
    let names = names(&chart.series);
    for ((series, name), colour) in chart.series.iter().zip(names).zip(COLOURS) {
        let points: Vec<(Timestamp, f64)> = series
            .points
            .iter()
            .filter(|(at, value)| value.is_finite() && frame.holds(*at))
            .copied()
            .collect();
        let Some((_, last)) = points.last() else {
            continue;
        };
        ends.push((frame.y(*last), name, colour));
        let every = points.len().div_ceil(MAX_POINTS).max(1);
        let gap = gap(&points) * every as f64;
        let mut piece: Vec<(i32, i32)> = Vec::new();
        let mut before = None;
        for (at, value) in points.iter().step_by(every).chain(points.last()) {
            if before.is_some_and(|before| seconds(*at) - before > gap) {
                stroke(paper, std::mem::take(&mut piece), colour)?;
            }
            before = Some(seconds(*at));
            piece.push((frame.x(*at), frame.y(*value)));
        }
        stroke(paper, piece, colour)?;
    }
    Ok(ends)
}

fn stroke(paper: &Paper<'_>, piece: Vec<(i32, i32)>, colour: RGBColor) -> Result<(), ChartError> {
    match &piece[..] {
        [] => Ok(()),
        // A lone point, or a line without length, would not show.
        [(x, y)] | [(x, y), ..] if piece.iter().all(|point| *point == (*x, *y)) => {
            let dot = Rectangle::new([(x - 4, y - 4), (x + 4, y + 4)], colour.filled());
            paper.draw(&dot).map_err(wrong)
        }
        _ => line(paper, piece, colour, 5),
    }
}

/// A longer silence than this breaks the line: three times the usual distance, seconds.
fn gap(points: &[(Timestamp, f64)]) -> f64 {
    let mut steps: Vec<f64> = points
        .windows(2)
        .map(|pair| seconds(pair[1].0) - seconds(pair[0].0))
        .collect();
    steps.sort_by(f64::total_cmp);
    // Older points are means of longer times: the upper quarter counts.
    steps
        .get(steps.len() * 3 / 4)
        .map_or(f64::MAX, |step| (step * 3.0).max(30.0))
}

/// The names as they fit beside the lines: `frontend-1` of `treasury-frontend-1`; of long ones that
/// begin alike, the ends.
fn names(series: &[Series]) -> Vec<String> {
    const MOST: usize = 16;
    let all = series.iter().take(MAX_SERIES);
    let mut parts: Vec<&str> = all.map(|one| one.name.as_str()).collect();
    let is_replica = |name: &&str| name.matches('-').count() >= 2;
    let first = parts.first().and_then(|name| name.split_once('-'));
    if let Some((project, _)) = first
        && parts.iter().all(|name| {
            is_replica(name) && name.split_once('-').is_some_and(|(one, _)| one == project)
        })
    {
        parts = parts
            .iter()
            .map(|name| &name[project.len() + 1..])
            .collect();
    }
    let parts: Vec<String> = parts.iter().map(|name| clean(name, 200)).collect();
    let long = |name: &str| name.chars().count();
    let head = |name: &String| {
        if long(name) <= MOST {
            return name.clone();
        }
        format!("{}…", name.chars().take(MOST - 1).collect::<String>())
    };
    let tail = |name: &str| {
        let end = name.chars().skip(long(name).saturating_sub(MOST - 1));
        format!("…{}", end.collect::<String>())
    };
    let heads: Vec<String> = parts.iter().map(head).collect();
    let is_alike = |head: &String| heads.iter().filter(|other| *other == head).count() > 1;
    let all = parts.iter().zip(&heads).map(|(name, head)| {
        if is_alike(head) && long(name) > MOST {
            tail(name)
        } else {
            head.clone()
        }
    });
    all.collect()
}

/// Names at the ends of their lines, pushed apart where they would overlap.
fn labels(paper: &Paper<'_>, mut ends: Vec<(i32, String, RGBColor)>) -> Result<(), ChartError> {
    const APART: i32 = 34;
    ends.sort_by_key(|(y, ..)| *y);
    let mut lowest = TOP - APART;
    for (y, ..) in &mut ends {
        *y = (*y).max(lowest + APART);
        lowest = *y;
    }
    // Those that were pushed out at the bottom go up again.
    let mut highest = BOTTOM + APART;
    for (y, ..) in ends.iter_mut().rev() {
        *y = (*y).min(highest - APART);
        highest = *y;
    }
    for (y, name, colour) in ends {
        let style = style(26, colour, true, HPos::Left, VPos::Center);
        write(paper, &name, &style, (RIGHT + 14, y))?;
    }
    Ok(())
}
