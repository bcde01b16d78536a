//! The hits of a run as a bar chart with a logarithmic scale.

use crate::report::{Hits, Run};
use lacre_peers::Kind;

/// The kinds in the chart, with their CSS classes.
const BARS: [(Kind, &str); 3] = [(Kind::Moka, "peer"), (Kind::Sealed, "sealed"), (Kind::Tier, "tier")];

const WIDTH: f64 = 720.0;
/// The left edge of the bars, and the space to the right of the longest one for its figure.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 80.0;
const TOP: f64 = 64.0;
const BAR: f64 = 14.0;
const GROUP: f64 = 3.0 * BAR + 14.0;

const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#24292f}.unit{fill:#57606a}.peer{fill:#8c959f}\
    .sealed{fill:#0969da}.tier{fill:#1a7f37}\
    @media(prefers-color-scheme:dark){text{fill:#e6edf3}.unit{fill:#9198a1}.peer{fill:#6e7681}.sealed{fill:#4493f8}.tier{fill:#3fb950}}";

pub fn draw(run: &Run) -> String {
    let height = TOP + GROUP * run.hits.len() as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n<style>{STYLE}</style>\n\
         <title>Microseconds per hit through the same client, by the size of the body</title>\n\
         <text x=\"0\" y=\"16\">Time of a hit through reqwest, by the size of the body <tspan class=\"unit\">(µs, logarithmic)</tspan></text>\n"
    );
    for (column, (kind, class)) in BARS.into_iter().enumerate() {
        let x = LEFT + 200.0 * column as f64;
        let note = if kind == Kind::Moka { ", in memory, not sealed" } else { "" };
        let name = kind.name().split(',').next().filter(|_| kind == Kind::Moka).unwrap_or(kind.name());
        out += &format!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"30\" width=\"12\" height=\"12\"/><text x=\"{}\" y=\"41\">{name}{note}</text>\n",
            x + 18.0
        );
    }
    for (row, hits) in run.hits.iter().enumerate() {
        out += &group(hits, TOP + GROUP * row as f64, longest(run));
    }
    out + "</svg>\n"
}

fn group(hits: &Hits, y: f64, longest: f64) -> String {
    let mut out = format!("<text x=\"0\" y=\"{}\">{}</text>\n", y + 1.5 * BAR + 5.0, hits.body);
    for (row, (kind, class)) in BARS.into_iter().enumerate() {
        let time = hits.turns.time(kind).median;
        let width = (WIDTH - LEFT - RIGHT) * (1.0 + time).ln() / (1.0 + longest).ln();
        let (y, digits) = (y + BAR * row as f64, usize::from(time < 20.0));
        out += &format!(
            "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\"/>\
             <text x=\"{:.1}\" y=\"{}\">{time:.digits$}</text>\n",
            BAR - 2.0,
            LEFT + width + 6.0,
            y + BAR - 3.5
        );
    }
    out
}

fn longest(run: &Run) -> f64 {
    let times = run.hits.iter().flat_map(|hits| BARS.map(|(kind, _)| hits.turns.time(kind).median));
    times.fold(1.0, f64::max)
}
