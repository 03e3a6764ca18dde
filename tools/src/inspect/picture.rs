//! The workspace over time as a picture: launches from left to right, bytes upwards.

use std::fmt::Write;

use kernels::launch::Description;

use super::Workspace;

/// Width of the plot, in pixels.
const WIDTH: f64 = 1200.0;
/// Its height.
const HEIGHT: f64 = 600.0;
/// Room around it for the words.
const MARGIN: f64 = 60.0;
/// Colours of the kernels' outputs, by the kernel's place in the table.
const COLOURS: [&str; 8] = ["#4e79a7", "#f28e2b", "#76b7b2", "#e15759", "#59a14f", "#edc948", "#b07aa1", "#9c755f"];

/// An SVG of what lives in a workspace of `bytes`, and of the most that is alive at once.
#[expect(clippy::cast_precision_loss, reason = "bytes of a workspace and launches are far below 2^53")]
pub fn picture(title: &str, launches: &[Description], space: &Workspace, bytes: u32) -> String {
    let whole = f64::from(bytes.max(1));
    let step = WIDTH / launches.len().max(1) as f64;
    let level = |byte: u64| MARGIN + HEIGHT - byte as f64 / whole * HEIGHT;
    let mut svg = String::new();
    let (width, height) = (WIDTH + 2.0 * MARGIN, HEIGHT + 2.0 * MARGIN);
    let mut line = |text: String| _ = writeln!(svg, "{text}");
    line(format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13">"#
    ));
    line(format!(r##"<rect width="{width}" height="{height}" fill="#ffffff"/>"##));
    line(format!(r#"<text x="{MARGIN}" y="30" font-size="16">{}</text>"#, escaped(title)));
    for life in &space.lifetimes {
        let launch = &launches[life.written];
        let (x, y) = (MARGIN + life.written as f64 * step, level(life.bytes.end));
        let (w, h) = ((life.last_read - life.written + 1) as f64 * step, level(life.bytes.start) - y);
        let colour = COLOURS[colour_of(launch.kernel)];
        line(format!(
            r##"<rect x="{x:.2}" y="{y:.2}" width="{w:.2}" height="{h:.2}" fill="{colour}" fill-opacity="0.75" stroke="#333333" stroke-width="0.5"><title>{}</title></rect>"##,
            escaped(&format!(
                "launch {} {} {}: {} bytes, last read by launch {}",
                life.written,
                launch.kernel,
                launch.what,
                life.bytes.end - life.bytes.start,
                life.last_read
            ))
        ));
    }
    let most = level(space.most_alive);
    let right = MARGIN + WIDTH;
    line(format!(
        r##"<line x1="{MARGIN}" x2="{right}" y1="{most:.2}" y2="{most:.2}" stroke="#c00000" stroke-dasharray="6 4"/>"##
    ));
    let most_y = most - 5.0;
    line(format!(
        r##"<text x="{right}" y="{most_y:.2}" text-anchor="end" fill="#c00000">most alive at once: {:.2} MiB</text>"##,
        space.most_alive as f64 / f64::from(1 << 20)
    ));
    let (bottom, below) = (MARGIN + HEIGHT, MARGIN + HEIGHT + 25.0);
    line(format!(
        r##"<rect x="{MARGIN}" y="{MARGIN}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#333333"/>"##
    ));
    line(format!(r#"<text x="{MARGIN}" y="{below}">launch 0</text>"#));
    line(format!(
        r#"<text x="{right}" y="{below}" text-anchor="end">launch {}</text>"#,
        launches.len().saturating_sub(1)
    ));
    line(format!(r#"<text x="8" y="{MARGIN}">{:.2} MiB</text>"#, whole / f64::from(1 << 20)));
    line(format!(r#"<text x="8" y="{bottom}">0</text>"#));
    line("</svg>".to_owned());
    svg
}

/// The kernel's place in the table picks its colour, so that a picture looks the same each time.
fn colour_of(kernel: &str) -> usize {
    kernels::launch::KERNELS.iter().position(|entry| entry.name == kernel).unwrap_or(0) % COLOURS.len()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
