//! Documents of all kinds, made by chance: every type and style of value, comments everywhere, nested lists, several documents.

mod lines;

use std::fmt::Write as _;

use bulla_testkit::mutate::Random;
pub(crate) use lines::{binary, dotenv, ini};

/// Makes YAML documents. The same seed gives the same document.
pub(crate) struct Yaml {
    random: Random,
    text: String,
    /// Are there anchors and aliases?
    aliases: bool,
    anchors: usize,
}

const PLAIN: &[&str] = &[
    "text",
    "two words",
    "0",
    "-7",
    "42",
    "0x1F",
    "0o17",
    "0755",
    "1_000",
    "9223372036854775807",
    "1.5",
    "1.50",
    "1e3",
    ".5",
    "1.0",
    "-0.25",
    "1e100",
    "1e-7",
    ".inf",
    "-.Inf",
    ".nan",
    "true",
    "False",
    "TRUE",
    "null",
    "~",
    "",
    "yes",
    "no",
    "on",
    "12:30:45",
    "2024-01-01",
    "2006-01-02T15:04:05+07:06",
    "2001-12-14 21:59:43.10",
    "2002-1-2T3:4:5.123456789Z",
    "a: b",
    "x#y",
    "é",
    "日本語",
    "😀",
    "-",
    "--- x",
    "!!str 7",
    "!!int \"3\"",
    "!!binary aGVsbG8=",
    "!!binary /w==",
    "!custom tagged",
    "<<",
    "=",
    "a\\b",
    "http://x/?y=1&z#f",
    "C:\\x",
];

const QUOTED: &[&str] = &[
    "''",
    "\"\"",
    "'x'",
    "\"x\"",
    "'it''s'",
    "\"a\\tb\\nc\"",
    "\"\\u00e9\\U0001F600\"",
    "'# no comment'",
    "\" padded \"",
    "'yes'",
    "\"7\"",
    "\"1.5\"",
    "\"null\"",
    "\"\\x41\\/\\e\"",
    "'a: b'",
    "\"[x, y]\"",
    "\"ENC[AES256_GCM,data:YQ==,iv:YQ==,tag:YQ==,type:str]\"",
    "'two\n      lines'",
    "\"folded\n\n      text \\\n      here\"",
    "\"trailing \\n\"",
];

const COMMENTS: &[&str] = &[
    "# a comment",
    "#tight",
    "#   wide  ",
    "# secret: the next",
    "# public",
    "## two",
    "# é 日本",
    "# 'quotes\" and: colons",
    "#!x",
    "#-",
];

const KEYS: &[&str] = &[
    "a",
    "b",
    "name",
    "data",
    "password",
    "host_unencrypted",
    "token_secret",
    "x.y/z",
    "\"quoted key\"",
    "'single'",
    "\"co:lon\"",
    "é",
    "metadata",
    "sops",
    "7th",
    "with space",
    "\"\"",
];

impl Yaml {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), text: String::new(), aliases: false, anchors: 0 }
    }

    /// With anchors and aliases among the values.
    pub(crate) fn with_aliases(seed: u64) -> Self {
        Self { aliases: true, ..Self::new(seed) }
    }

    /// A stream of one to three documents.
    pub(crate) fn generate(mut self) -> String {
        let documents = if self.random.once_in(4) { 2 + self.random.below(2) } else { 1 };
        for number in 0..documents {
            if number > 0 || self.random.once_in(5) {
                self.text.push_str("---\n");
            }
            // An anchor counts in its own document.
            self.anchors = 0;
            self.comments(0);
            if self.random.once_in(6) {
                self.text.push('\n');
            }
            let entries = 1 + self.random.below(5);
            self.mapping(0, entries, 0, true);
            if self.random.once_in(4) {
                self.comments(0);
            }
        }
        match self.random.below(12) {
            0 => drop(self.text.pop()),
            1 => self.text = self.text.replace('\n', "\r\n"),
            _ => {}
        }
        self.text
    }

    fn indent(&mut self, indent: usize) {
        self.text.extend(std::iter::repeat_n(' ', indent));
    }

    fn comments(&mut self, indent: usize) {
        if self.random.once_in(3) {
            for _ in 0..=self.random.below(2) {
                self.indent(indent);
                let comment = self.random.pick(COMMENTS);
                self.text.push_str(comment);
                self.text.push('\n');
                if self.random.once_in(8) {
                    self.text.push('\n');
                }
            }
        }
    }

    /// Ends the line, with or without a comment.
    fn end_line(&mut self) {
        if self.random.once_in(6) {
            let blanks = 1 + self.random.below(3);
            self.indent(blanks);
            let comment = self.random.pick(COMMENTS);
            self.text.push_str(comment);
        }
        self.text.push('\n');
    }

    fn mapping(&mut self, indent: usize, entries: usize, depth: usize, start_of_line: bool) {
        let first = self.random.below(KEYS.len());
        for entry in 0..entries {
            if entry > 0 || start_of_line {
                if self.random.once_in(8) {
                    self.text.push('\n');
                }
                self.comments(indent);
                self.indent(indent);
            }
            let mut key = KEYS[(first + entry) % KEYS.len()];
            if depth == 0 && key == "sops" {
                key = "not_sops";
            }
            self.text.push_str(key);
            self.text.push(':');
            self.value(indent, depth, false);
        }
        if self.random.once_in(10) {
            self.comments(indent);
        }
    }

    fn list(&mut self, indent: usize, items: usize, depth: usize, start_of_line: bool) {
        for item in 0..items {
            if item > 0 || start_of_line {
                self.comments(indent);
                self.indent(indent);
            }
            self.text.push('-');
            self.value(indent, depth, true);
        }
    }

    /// What stands behind `key:` or `-`, to the end of its lines.
    fn value(&mut self, indent: usize, depth: usize, in_list: bool) {
        let step = 2 + 2 * self.random.below(2);
        let count = 1 + self.random.below(3);
        if self.aliases && self.anchors > 0 && self.random.once_in(5) {
            let anchor = self.random.below(self.anchors);
            write!(self.text, " *a{anchor}").unwrap();
            return self.end_line();
        }
        let anchored = self.aliases && self.random.once_in(5);
        if anchored {
            write!(self.text, " &a{}", self.anchors).unwrap();
        }
        match self.random.below(if depth > 3 { 12 } else { 18 }) {
            0..=6 => {
                self.text.push(' ');
                let value = self.random.pick(PLAIN);
                self.text.push_str(value);
                self.end_line();
            }
            7..=8 => {
                self.text.push(' ');
                let value = self.random.pick(QUOTED);
                // A second line of a value must be indented more than its key.
                let value = value.replace("\n      ", &format!("\n{}", " ".repeat(indent + 2)));
                self.text.push_str(&value);
                self.end_line();
            }
            9..=10 => self.block(indent + step),
            11 => {
                self.text.push(' ');
                let flow = self.flow(0);
                self.text.push_str(&flow);
                self.end_line();
            }
            12..=14 if in_list && !anchored && self.random.once_in(2) => {
                self.text.push(' ');
                self.mapping(indent + 2, count, depth + 1, false);
            }
            12..=14 => {
                self.end_line();
                self.mapping(indent + step, count, depth + 1, true);
            }
            15 if in_list && !anchored => {
                self.text.push(' ');
                self.list(indent + 2, count, depth + 1, false);
            }
            _ => {
                self.end_line();
                // Dashes may stand below their key.
                let indent = if in_list { indent + 2 } else { indent + self.random.below(2) * step };
                self.list(indent, count, depth + 1, true);
            }
        }
        // Not before its value is complete may an alias stand for it.
        self.anchors += usize::from(anchored);
    }

    fn block(&mut self, indent: usize) {
        self.text.push(' ');
        let header = self.random.pick(&["|", "|-", "|+", ">", ">-", ">+"]);
        self.text.push_str(header);
        self.end_line();
        let lines = 1 + self.random.below(3);
        for line in 0..lines {
            if line > 0 && self.random.once_in(4) {
                self.text.push('\n');
            }
            self.indent(indent);
            if line > 0 && self.random.once_in(4) {
                self.indent(2);
            }
            let content = self.random.pick(&[
                "line",
                "# not a comment",
                "key: value",
                "- item",
                "trailing blank ",
                "é😀",
                "x\ty",
            ]);
            self.text.push_str(content);
            self.text.push('\n');
        }
        if self.random.once_in(5) {
            self.text.push('\n');
        }
    }

    fn flow(&mut self, depth: usize) -> String {
        let count = self.random.below(4);
        let is_list = self.random.once_in(2);
        let blank = self.random.pick(&["", " "]);
        let entries: Vec<String> = (0..count)
            .map(|entry| {
                let value = match self.random.below(8) {
                    0 if depth < 2 => self.flow(depth + 1),
                    1..=3 => self.random.pick(&["'x'", "\"y\\n\"", "''", "\"# z\""]).to_owned(),
                    _ => self
                        .random
                        .pick(&["x", "7", "1.50", "true", "null", "two words", "0x1F", "2024-01-01", "é"])
                        .to_owned(),
                };
                if is_list { value } else { format!("k{entry}: {value}") }
            })
            .collect();
        let entries = entries.join(", ");
        if is_list { format!("[{blank}{entries}{blank}]") } else { format!("{{{blank}{entries}{blank}}}") }
    }
}

/// A JSON document.
pub(crate) fn json(seed: u64) -> String {
    let mut random = Random::new(seed);
    let indent = random.pick(&["", "  ", "\t"]);
    let mut text = String::new();
    json_object(&mut random, &mut text, indent, 1);
    if !random.once_in(4) {
        text.push('\n');
    }
    text
}

const JSON: &[&str] = &[
    "0",
    "-7",
    "42",
    "9223372036854775807",
    "1.5",
    "1.50",
    "1e3",
    "1E-2",
    "1.0",
    "1e21",
    "123456789.125",
    "true",
    "false",
    "null",
    "\"\"",
    "\"x\"",
    "\"a\\nb\"",
    "\"\\u00e9\"",
    "\"\\ud83d\\ude00\"",
    "\"\\/\"",
    "\"<&>\"",
    "\"日本\"",
    "\"# x\"",
    "\"7\"",
    "\"\\u2028\"",
    "\"\\u0000\"",
    "{}",
    "[]",
];

fn json_line(text: &mut String, indent: &str, depth: usize) {
    if !indent.is_empty() {
        text.push('\n');
        text.extend(std::iter::repeat_n(indent, depth));
    }
}

fn json_object(random: &mut Random, text: &mut String, indent: &str, depth: usize) {
    text.push('{');
    let count = if depth == 1 { 1 + random.below(5) } else { random.below(4) };
    let first = random.below(8);
    for entry in 0..count {
        if entry > 0 {
            text.push_str(random.pick(&[",", ",", ", "]));
        }
        json_line(text, indent, depth);
        let keys = ["a", "name", "data", "token_secret", "host_unencrypted", "co:lon", "\\u00e9", "", "x y"];
        let key = keys[(first + entry) % keys.len()];
        let colon = random.pick(&[":", ": ", " : "]);
        write!(text, "\"{key}\"{colon}").unwrap();
        json_value(random, text, indent, depth);
    }
    if count > 0 {
        json_line(text, indent, depth - 1);
    }
    text.push('}');
}

fn json_value(random: &mut Random, text: &mut String, indent: &str, depth: usize) {
    match random.below(8) {
        0 | 1 if depth < 4 => json_object(random, text, indent, depth + 1),
        2 if depth < 4 => {
            text.push('[');
            let count = random.below(4);
            for item in 0..count {
                if item > 0 {
                    text.push(',');
                }
                json_line(text, indent, depth + 1);
                json_value(random, text, indent, depth + 1);
            }
            if count > 0 {
                json_line(text, indent, depth);
            }
            text.push(']');
        }
        _ => text.push_str(random.pick(JSON)),
    }
}
