//! A screen of a terminal emulator as text and as an SVG picture. Pure: [`crate::placeholders`] has replaced what varies.

use std::fmt::Write as _;

/// Width and height of a cell and the room around the screen, in tenths of a pixel. A monospace font of 14 pixels is
/// about 8.4 pixels wide.
const CELL: [usize; 2] = [84, 200];
const MARGIN: usize = 160;
/// The baseline of a row below its top.
const BASELINE: usize = 145;
/// Pictures of short lines have the width of a usual terminal, so that they have the same size on a page.
const COLUMNS: usize = 80;
/// The classes of the colours 0 to 7 of a terminal, and of their bright variants.
const COLORS: [&str; 8] = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
/// A picture in a page cannot ask the page for its scheme, so it has a ground of its own in each of the two. Each text has
/// a contrast of 4.5 or more on its ground (WCAG 2.2, 1.4.3).
const STYLE: &str = "\
    .ground{fill:#fff;stroke:#d1d9e0}\
    text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'Liberation Mono','DejaVu Sans Mono',monospace;fill:#1f2328}\
    .bold{font-weight:700}.italic{font-style:italic}.underline{text-decoration:underline}\
    .dim,.black{fill:#59636e}.red{fill:#c21c2c}.green{fill:#17722f}.yellow{fill:#875e00}\
    .blue{fill:#0550ae}.magenta{fill:#8250df}.cyan{fill:#0e6b78}.white{fill:#59636e}\
    @media (prefers-color-scheme:dark){\
    .ground{fill:#0d1117;stroke:#3d444d}text{fill:#e6edf3}\
    .dim,.black{fill:#9198a1}.red{fill:#ff7b72}.green{fill:#56d364}.yellow{fill:#e3b341}\
    .blue{fill:#79c0ff}.magenta{fill:#d2a8ff}.cyan{fill:#56d4dd}.white{fill:#b1bac4}}";

/// How a cell is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "a terminal sets each of them by itself")]
pub(crate) struct CellStyle {
    /// One of [`COLORS`]; None for the terminal's own.
    color: Option<usize>,
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
}

/// A character of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) character: char,
    pub(crate) style: CellStyle,
}

/// A line of the screen, without spaces at its end.
pub(crate) type Line = Vec<Cell>;

/// What is on a screen after a command was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recording {
    command: String,
    pub(crate) lines: Vec<Line>,
}

/// Characters of the same style without two spaces in a row, which are drawn as one text.
struct Run {
    column: usize,
    style: CellStyle,
    text: String,
}

impl CellStyle {
    /// Secondary text.
    pub(crate) const DIM: Self =
        Self { color: None, bold: false, dim: true, italic: false, underline: false };

    /// # Panics
    /// For what handsctl never writes, and a picture does not have: backgrounds, and colours beyond the first 16.
    fn of_cell(cell: &vt100::Cell) -> Self {
        let color = match cell.fgcolor() {
            vt100::Color::Default => None,
            vt100::Color::Idx(index @ 0..16) => Some(usize::from(index) % COLORS.len()),
            other => panic!("no picture has the colour {other:?}"),
        };
        assert_eq!(cell.bgcolor(), vt100::Color::Default, "a background");
        assert!(!cell.inverse(), "inverse text");
        Self { color, bold: cell.bold(), dim: cell.dim(), italic: cell.italic(), underline: cell.underline() }
    }

    fn classes(self) -> String {
        let flags =
            [("bold", self.bold), ("dim", self.dim), ("italic", self.italic), ("underline", self.underline)];
        let flags = flags.iter().filter(|(_, is_set)| *is_set).map(|(name, _)| *name);
        flags.chain(self.color.map(|color| COLORS[color])).collect::<Vec<_>>().join(" ")
    }
}

/// The line with this text in one style.
fn plain(text: &str, style: CellStyle) -> Line {
    text.chars().map(|character| Cell { character, style }).collect()
}

/// The text of a line.
pub(crate) fn text(line: &[Cell]) -> String {
    line.iter().map(|cell| cell.character).collect()
}

impl Recording {
    /// Reads the screen. Its first line becomes the command, as it was typed.
    pub(crate) fn new(command: &str, screen: &vt100::Screen) -> Self {
        let (rows, columns) = screen.size();
        let cell = |row: u16, column: u16| {
            let cell = screen.cell(row, column).unwrap();
            assert!(!cell.is_wide(), "a wide character: {cell:?}");
            let style = CellStyle::of_cell(cell);
            Cell { character: cell.contents().chars().next().unwrap_or(' '), style }
        };
        let screen = (0..rows.get()).map(|row| (0..columns.get()).map(|column| cell(row, column)).collect());
        let typed =
            [plain("$ ", CellStyle::DIM), plain(command, CellStyle { bold: true, ..CellStyle::default() })];
        let mut lines: Vec<Line> = std::iter::once(typed.concat()).chain(screen).collect();
        lines.iter_mut().for_each(trim);
        let used = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
        lines.truncate(used);
        Self { command: command.to_owned(), lines }
    }

    /// The screen as text.
    pub(crate) fn to_text(&self) -> String {
        self.lines.iter().map(|line| text(line) + "\n").collect()
    }

    /// The screen as a picture that needs no other file and no script.
    pub(crate) fn to_svg(&self) -> String {
        let columns = self.lines.iter().map(Vec::len).max().unwrap_or_default().max(COLUMNS);
        let (width, height) =
            (pixels(2 * MARGIN + columns * CELL[0]), pixels(2 * MARGIN + self.lines.len() * CELL[1]));
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>$ {}</title>\n<style>{STYLE}</style>\n\
             <rect class=\"ground\" x=\".5\" y=\".5\" width=\"{}\" height=\"{}\" rx=\"6\"/>\n",
            escaped(&self.command),
            pixels(2 * MARGIN + columns * CELL[0] - 10),
            pixels(2 * MARGIN + self.lines.len() * CELL[1] - 10),
        );
        for (row, line) in self.lines.iter().enumerate() {
            for run in runs(line) {
                write_run(&mut svg, row, &run);
            }
        }
        svg + "</svg>\n"
    }
}

/// Removes the spaces at the end of a line.
pub(crate) fn trim(line: &mut Line) {
    let used = line.iter().rposition(|cell| cell.character != ' ').map_or(0, |last| last + 1);
    line.truncate(used);
}

/// Splits a line into texts. A symbol is a text of its own: it may come from another font, in which it has another width.
fn runs(line: &[Cell]) -> Vec<Run> {
    let is_symbol = |character: char| character >= '\u{2000}';
    let mut runs: Vec<Run> = Vec::new();
    let mut is_open = false;
    for (column, cell) in line.iter().enumerate() {
        let next = line.get(column + 1).map_or(' ', |next| next.character);
        let is_gap = cell.character == ' ' && (next == ' ' || is_symbol(next));
        match runs.last_mut() {
            _ if is_gap => is_open = false,
            Some(run) if is_open && run.style == cell.style && !is_symbol(cell.character) => {
                run.text.push(cell.character);
            }
            _ if cell.character == ' ' => is_open = false,
            _ => {
                runs.push(Run { column, style: cell.style, text: cell.character.to_string() });
                is_open = !is_symbol(cell.character);
            }
        }
    }
    // A space before a change of style. Browsers do not count it.
    for run in &mut runs {
        run.text.truncate(run.text.trim_end().len());
    }
    runs
}

/// Writes a text with its length, so that each column is where it is on a terminal, whatever font the reader has.
fn write_run(svg: &mut String, row: usize, run: &Run) {
    let classes = run.style.classes();
    let class = if classes.is_empty() { String::new() } else { format!(" class=\"{classes}\"") };
    let length = run.text.chars().count();
    let adjust = if length == 1 { " lengthAdjust=\"spacingAndGlyphs\"" } else { "" };
    let (x, y) = (pixels(MARGIN + run.column * CELL[0]), pixels(MARGIN + row * CELL[1] + BASELINE));
    let (length, text) = (pixels(length * CELL[0]), escaped(&run.text));
    writeln!(svg, "<text{class} x=\"{x}\" y=\"{y}\" textLength=\"{length}\"{adjust}>{text}</text>").unwrap();
}

/// Formats tenths of a pixel: `16`, `24.4`.
fn pixels(tenths: usize) -> String {
    match tenths % 10 {
        0 => (tenths / 10).to_string(),
        rest => format!("{}.{rest}", tenths / 10),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn screen_of(bytes: &[u8]) -> vt100::Screen {
    let mut parser = vt100::Parser::new(5.try_into().unwrap(), 30.try_into().unwrap(), 0);
    parser.process(bytes);
    parser.screen().clone()
}

#[test]
fn picture_has_each_text_in_its_column_and_style() {
    let screen = screen_of(
        b"\x1b[1;31merror\x1b[0m: a<b  \x1b[2mdim\x1b[0m\r\n  \x1b[32m\xe2\x9c\x93\x1b[0m done\r\n\r\n",
    );
    let recording = Recording::new("handsctl x", &screen);
    assert_eq!(recording.to_text(), "$ handsctl x\nerror: a<b  dim\n  ✓ done\n");
    let svg = recording.to_svg();
    let texts: Vec<&str> = svg.lines().filter(|line| line.starts_with("<text")).collect();
    assert_eq!(
        texts,
        [
            "<text class=\"dim\" x=\"16\" y=\"30.5\" textLength=\"8.4\" lengthAdjust=\"spacingAndGlyphs\">$</text>",
            "<text class=\"bold\" x=\"32.8\" y=\"30.5\" textLength=\"84\">handsctl x</text>",
            "<text class=\"bold red\" x=\"16\" y=\"50.5\" textLength=\"42\">error</text>",
            "<text x=\"58\" y=\"50.5\" textLength=\"42\">: a&lt;b</text>",
            "<text class=\"dim\" x=\"116.8\" y=\"50.5\" textLength=\"25.2\">dim</text>",
            "<text class=\"green\" x=\"32.8\" y=\"70.5\" textLength=\"8.4\" lengthAdjust=\"spacingAndGlyphs\">✓</text>",
            "<text x=\"49.6\" y=\"70.5\" textLength=\"33.6\">done</text>",
        ]
    );
}

#[test]
#[should_panic(expected = "no picture has the colour")]
fn picture_of_an_unknown_color_panics() {
    Recording::new("x", &screen_of(b"\x1b[38;5;200mx"));
}
