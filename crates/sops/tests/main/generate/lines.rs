//! Files of lines, and binary ones.

use std::fmt::Write as _;

use bulla_testkit::mutate::Random;

const NAMES: &[&str] = &[
    "A",
    "DATABASE_URL",
    "data",
    "password",
    "HOST_unencrypted",
    "token_secret",
    "NAME",
    "k1",
    "x.y/z",
    "é",
    "sops",
    "a",
];

const TEXTS: &[&str] = &[
    "x",
    "two words",
    "",
    "7",
    "true",
    "1.50",
    "null",
    "'quoted'",
    "\"quoted\"",
    "it's",
    "a=b",
    "é 日本",
    "😀",
    "postgres://u:p@h/d?x=1",
    "-----BEGIN",
    "C:\\temp",
    "[x]",
    "ENC[",
    "  padded  ",
    "%(x)s",
    "$VAR",
    "a,b",
    "\"a\" b",
    "~",
    "\\t",
];

const COMMENTS: &[&str] =
    &[" a comment", "tight", "   wide  ", " secret: the next", " public", "# two", " é 日本", " a = b", "!x"];

/// A dotenv file.
pub(crate) fn dotenv(seed: u64) -> String {
    let mut random = Random::new(seed);
    let mut text = String::new();
    for _ in 0..=random.below(8) {
        match random.below(10) {
            0 => text.push('\n'),
            1 | 2 => writeln!(text, "#{}", random.pick(COMMENTS)).unwrap(),
            3 => writeln!(text, "{}=line one\\nline {}\\n", random.pick(NAMES), random.below(9)).unwrap(),
            4 => writeln!(text, "export {} = {}", random.pick(NAMES), random.pick(TEXTS)).unwrap(),
            _ => writeln!(text, "{}={}", random.pick(NAMES), random.pick(TEXTS)).unwrap(),
        }
    }
    match random.below(10) {
        0 => drop(text.pop()),
        // Only lines that are not empty may end so.
        1 if !text.contains("\n\n") && !text.starts_with('\n') => text = text.replace('\n', "\r\n"),
        _ => {}
    }
    text
}

/// An INI file.
pub(crate) fn ini(seed: u64) -> String {
    let mut random = Random::new(seed);
    let mut text = String::new();
    if random.once_in(3) {
        keys(&mut random, &mut text);
    }
    for number in 0..random.below(4) {
        if random.once_in(2) {
            text.push('\n');
        }
        comments(&mut random, &mut text);
        let name = random.pick(&["db", "data", "name", "x.y", "a b", "DEFAULT", "token_secret", "é"]);
        let number = if random.once_in(4) { String::new() } else { number.to_string() };
        write!(text, "[{name}{number}]").unwrap();
        end_line(&mut random, &mut text);
        keys(&mut random, &mut text);
    }
    if random.once_in(4) {
        comments(&mut random, &mut text);
    }
    match random.below(10) {
        0 => drop(text.pop()),
        1 => text = text.replace('\n', "\r\n"),
        _ => {}
    }
    text
}

fn comments(random: &mut Random, text: &mut String) {
    if random.once_in(3) {
        for _ in 0..=random.below(2) {
            let indent = if random.once_in(6) { "  " } else { "" };
            writeln!(text, "{indent}{}{}", random.pick(&[";", "#"]), random.pick(COMMENTS)).unwrap();
            if random.once_in(8) {
                text.push('\n');
            }
        }
    }
}

fn end_line(random: &mut Random, text: &mut String) {
    if random.once_in(6) {
        write!(text, " {}{}", random.pick(&[";", "#"]), random.pick(COMMENTS)).unwrap();
    }
    text.push('\n');
}

fn keys(random: &mut Random, text: &mut String) {
    let first = random.below(NAMES.len());
    for number in 0..random.below(5) {
        comments(random, text);
        let name = NAMES[(first + number) % NAMES.len()];
        write!(text, "{name}{}", random.pick(&[" = ", "=", ": ", "   =   "])).unwrap();
        match random.below(12) {
            0 => text.push_str("\"\"\"one\ntwo # three\n  four\"\"\""),
            1 => text.push_str("`a # b`"),
            2 => text.push_str("one \\\n  two \\\nthree"),
            3 => text.push_str("`in\nlines`"),
            _ => {
                text.push_str(random.pick(TEXTS).trim());
                end_line(random, text);
                continue;
            }
        }
        text.push('\n');
    }
}

/// Any bytes.
pub(crate) fn binary(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let length = random.below(200);
    match random.below(4) {
        0 => Vec::new(),
        1 => dotenv(seed).into_bytes(),
        _ => (0..length).map(|_| random.below(256) as u8).collect(),
    }
}
