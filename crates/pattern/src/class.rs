//! The character classes that have names: `\d`, `[:alpha:]`, `\p{Greek}`.
//!
//! Source: Go 1.26 `regexp/syntax/perl_groups.go`, `unicodeTable` in `parse.go`; the Unicode tables in [`crate::tables`].

use std::sync::LazyLock;

use crate::code_points::CodePoints;
use crate::tables::{ALIASES, CATEGORIES, FOLDING, Run, SCRIPTS};

/// What `\d`, `\s`, `\w` match, by their letter; ASCII only, and `\s` without the vertical tab.
pub(crate) fn perl(letter: char) -> Option<CodePoints> {
    let ranges: &[(char, char)] = match letter {
        'd' => &[('0', '9')],
        's' => &[('\t', '\n'), ('\x0C', '\r'), (' ', ' ')],
        'w' => WORD,
        _ => return None,
    };
    Some(ascii(ranges))
}

/// What `[:name:]` matches, by its name; ASCII only.
pub(crate) fn posix(name: &str) -> Option<CodePoints> {
    let ranges: &[(char, char)] = match name {
        "alnum" => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
        "alpha" => &[('A', 'Z'), ('a', 'z')],
        "ascii" => &[('\0', '\x7F')],
        "blank" => &[('\t', '\t'), (' ', ' ')],
        "cntrl" => &[('\0', '\x1F'), ('\x7F', '\x7F')],
        "digit" => &[('0', '9')],
        "graph" => &[('!', '~')],
        "lower" => &[('a', 'z')],
        "print" => &[(' ', '~')],
        "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        "space" => &[('\t', '\r'), (' ', ' ')],
        "upper" => &[('A', 'Z')],
        "word" => WORD,
        "xdigit" => &[('0', '9'), ('A', 'F'), ('a', 'f')],
        _ => return None,
    };
    Some(ascii(ranges))
}

/// What `\p{name}` matches. The case of `name` does not matter, nor do spaces, hyphens and underscores in it.
///
/// With `fold`, case is ignored as Go does it: some categories and scripts then have the other cases of their letters,
/// others do not.
pub(crate) fn unicode(name: &str, fold: bool) -> Option<CodePoints> {
    let mut name = canonical(name);
    let mut found = table(&name);
    if found.is_none() {
        let alias = ALIASES.binary_search_by_key(&&*name, |(alias, _)| alias).ok()?;
        ALIASES[alias].1.clone_into(&mut name);
        found = table(&name);
    }
    let points = found?;
    let folds = fold && (name == "Ascii" || FOLDING.binary_search(&&*name).is_ok());
    Some(if folds { points.folded() } else { points })
}

const WORD: &[(char, char)] = &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];

fn ascii(ranges: &[(char, char)]) -> CodePoints {
    let mut points = CodePoints::default();
    for &(first, last) in ranges {
        points.add(first.into(), last.into());
    }
    points
}

/// The class of a canonical name that is not an alias.
fn table(name: &str) -> Option<CodePoints> {
    if let Some((_, union)) = UNIONS.iter().find(|(union, _)| *union == name) {
        return Some(LazyLock::force(union).clone());
    }
    let find = |tables: &[(&str, &'static [Run])]| {
        let index = tables.binary_search_by_key(&name, |(name, _)| name).ok()?;
        Some(tables[index].1)
    };
    let mut points = CodePoints::default();
    add(&mut points, find(CATEGORIES).or_else(|| find(SCRIPTS))?);
    Some(points)
}

/// The classes that consist of categories, made when they are first asked for.
static UNIONS: [(&str, LazyLock<CodePoints>); 12] = [
    ("Any", LazyLock::new(CodePoints::all)),
    ("Ascii", LazyLock::new(|| ascii(&[('\0', '\x7F')]))),
    ("Assigned", LazyLock::new(|| union(|_| true))),
    ("C", LazyLock::new(|| union(|category| !category.starts_with('C')).negated())),
    ("Cn", LazyLock::new(|| union(|_| true).negated())),
    ("L", LazyLock::new(|| union(|category| category.starts_with('L')))),
    ("Lc", LazyLock::new(|| union(|category| matches!(category, "Ll" | "Lt" | "Lu")))),
    ("M", LazyLock::new(|| union(|category| category.starts_with('M')))),
    ("N", LazyLock::new(|| union(|category| category.starts_with('N')))),
    ("P", LazyLock::new(|| union(|category| category.starts_with('P')))),
    ("S", LazyLock::new(|| union(|category| category.starts_with('S')))),
    ("Z", LazyLock::new(|| union(|category| category.starts_with('Z')))),
];

/// All code points of the categories of two letters that are wanted, `Cn` not among them.
fn union(wanted: fn(&str) -> bool) -> CodePoints {
    let mut points = CodePoints::default();
    for (_, runs) in CATEGORIES.iter().filter(|(category, _)| wanted(category)) {
        add(&mut points, runs);
    }
    points.tidy();
    points
}

fn add(points: &mut CodePoints, runs: &[Run]) {
    for &(first, last, step) in runs {
        if step == 1 {
            points.add(first, last);
        } else {
            for point in (first..=last).step_by(step as usize) {
                points.add(point, point);
            }
        }
    }
}

/// Spells a name with one capital, and without what may join words.
fn canonical(name: &str) -> String {
    let mut canonical: String =
        name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).map(|c| c.to_ascii_lowercase()).collect();
    if let Some(first) = canonical.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    canonical
}
