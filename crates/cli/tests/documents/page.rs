//! A page of the documents: its fenced blocks and the comments that say how they are run.
//!
//! ````text
//! ```sh                       commands; each must end well
//! ```console                  `$ ` before a command, `> ` before its further lines, what it prints below, `# exit code 1` if it is not 0;
//!                             `…` stands for any part of a line, or any lines
//! ```yaml title=secret.yaml   a file that the commands after it find
//! <!-- not run: reason -->    above a block of commands: it cannot be run here
//! <!-- run first: command --> commands that the reader need not see; also over several lines
//! ````

use std::fmt;

/// Something that happens when a page is followed, in its order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Commands of a block, or of a comment.
    Commands { line: usize, text: String },
    /// One command and what it prints.
    Transcript { line: usize, command: String, output: String, code: i32 },
    /// A file that the page shows.
    File { line: usize, name: String, content: String },
    /// A block that cannot be run, and why.
    Left { line: usize, reason: String },
}

/// What is wrong with a page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) line: usize,
    pub(crate) reason: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// Languages of blocks that are shown and not run. Whatever else looks like a shell is refused, so that nothing is left out by its name.
const SHOWN: [&str; 10] = ["text", "yaml", "json", "toml", "ini", "rust", "diff", "markdown", "dockerfile", "go"];

/// The steps of a page.
pub(crate) fn steps(text: &str) -> Result<Vec<Step>, Fault> {
    let mut steps = Vec::new();
    let mut marker: Option<(usize, String)> = None;
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let number = index + 1;
        let fault = |reason| Err(Fault { line: number, reason });
        let bare = line.trim_start();
        if let Some(comment) = bare.strip_prefix("<!--") {
            let comment = if let Some((comment, _)) = comment.split_once("-->") {
                comment.to_owned()
            } else {
                let mut all = vec![comment];
                let end = lines.by_ref().find_map(|(_, line)| {
                    let end = line.split_once("-->").map(|(before, _)| before);
                    all.push(end.unwrap_or(line));
                    end
                });
                if end.is_none() {
                    return fault("a comment without end");
                }
                all.join("\n")
            };
            let comment = comment.trim();
            if let Some(reason) = comment.strip_prefix("not run") {
                let reason = reason.trim_start_matches(':').trim();
                if reason.len() < 10 || marker.is_some() {
                    return fault("a block is left out without a reason");
                }
                marker = Some((number, reason.to_owned()));
            } else if let Some(commands) = comment.strip_prefix("run first:") {
                steps.push(Step::Commands { line: number, text: commands.trim().to_owned() });
            } else if comment.contains("run") {
                return fault("a comment that is neither `not run: …` nor `run first: …`");
            }
            continue;
        }
        let Some(info) = bare.strip_prefix("```") else {
            if marker.is_some() && !bare.is_empty() {
                return fault("`not run` stands above something that is no block");
            }
            continue;
        };
        let fence = bare.len() - bare.trim_start_matches('`').len();
        let indentation = line.len() - bare.len();
        let info = info.trim_start_matches('`').trim();
        let mut body = String::new();
        let closed = lines.by_ref().any(|(_, line)| {
            let bare = line.trim();
            if bare.len() >= fence && bare.chars().all(|c| c == '`') {
                return true;
            }
            let spaces = line.len() - line.trim_start().len();
            body.push_str(&line[indentation.min(spaces)..]);
            body.push('\n');
            false
        });
        if !closed {
            return fault("a block without end");
        }
        let (language, rest) = info.split_once(' ').unwrap_or((info, ""));
        let runs = matches!(language, "sh" | "console");
        match (marker.take(), runs) {
            (Some((line, _)), false) => {
                return Err(Fault { line, reason: "`not run` above a block that is not run anyway" });
            }
            (Some((_, reason)), true) => {
                steps.push(Step::Left { line: number, reason });
                continue;
            }
            (None, _) => {}
        }
        match (language, rest.strip_prefix("title=")) {
            ("sh", None) if rest.is_empty() => steps.push(Step::Commands { line: number, text: body }),
            ("console", None) if rest.is_empty() => steps.extend(transcript(number + 1, &body)?),
            (language, Some(name)) if SHOWN.contains(&language) => {
                steps.push(Step::File { line: number, name: name.to_owned(), content: body });
            }
            (language, None) if SHOWN.contains(&language) && rest.is_empty() => {}
            _ => return fault("a block must say what it is: sh, console, or a language that is not run"),
        }
    }
    match marker {
        Some((line, _)) => Err(Fault { line, reason: "`not run` without a block" }),
        None => Ok(steps),
    }
}

fn transcript(first: usize, body: &str) -> Result<Vec<Step>, Fault> {
    let mut steps = Vec::new();
    for (index, text) in body.lines().enumerate() {
        let line = first + index;
        if let Some(command) = text.strip_prefix("$ ") {
            let command = format!("{command}\n");
            steps.push(Step::Transcript { line, command, output: String::new(), code: 0 });
            continue;
        }
        let Some(Step::Transcript { command, output, code, .. }) = steps.last_mut() else {
            return Err(Fault { line, reason: "a transcript begins with `$ `" });
        };
        if let Some(more) = text.strip_prefix("> ").filter(|_| output.is_empty()) {
            command.push_str(more);
            command.push('\n');
        } else if let Some(number) = text.strip_prefix("# exit code ") {
            *code = number.parse().map_err(|_| Fault { line, reason: "an exit code is a number" })?;
        } else {
            output.push_str(text);
            output.push('\n');
        }
    }
    Ok(steps)
}

/// Whether `found` is what `expected` shows: `…` stands for any part of a line, and for any lines if it is alone on one.
pub(crate) fn is_shown(expected: &str, found: &str) -> bool {
    let expected: Vec<&str> = expected.lines().map(str::trim_end).collect();
    let found: Vec<&str> = found.lines().map(str::trim_end).collect();
    // Which lines of `found` may have been consumed after each line of `expected`.
    let mut ends = vec![false; found.len() + 1];
    ends[0] = true;
    for line in expected {
        let mut next = vec![false; found.len() + 1];
        for at in (0..ends.len()).filter(|at| ends[*at]) {
            if line.trim() == "…" {
                next[at..].fill(true);
            } else if found.get(at).is_some_and(|found| line_is_shown(line, found)) {
                next[at + 1] = true;
            }
        }
        ends = next;
    }
    ends[found.len()]
}

fn line_is_shown(expected: &str, found: &str) -> bool {
    let mut parts = expected.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = found.strip_prefix(first) else { return false };
    let Some(last) = expected.contains('…').then(|| parts.next_back().unwrap_or_default()) else {
        return rest.is_empty();
    };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn a_page_is_read_as_its_author_means_it() {
    let page = "# Title\n\n```yaml title=a/b.yaml\nkey: 1\n```\n<!-- run first: cd x -->\n\n1. text\n\n   ```sh\n   one\n     two\n   ```\n\
                <!-- not run: needs a browser -->\n```sh\nfirefox\n```\n```console\n$ a \\\n> b\nout …\n$ false\n# exit code 1\n```\n```text\n$ x\n```\n";
    let expected = [
        Step::File { line: 3, name: "a/b.yaml".into(), content: "key: 1\n".into() },
        Step::Commands { line: 6, text: "cd x".into() },
        Step::Commands { line: 10, text: "one\n  two\n".into() },
        Step::Left { line: 15, reason: "needs a browser".into() },
        Step::Transcript { line: 19, command: "a \\\nb\n".into(), output: "out …\n".into(), code: 0 },
        Step::Transcript { line: 22, command: "false\n".into(), output: String::new(), code: 1 },
    ];
    assert_eq!(steps(page).unwrap(), expected);
    for (page, line) in [
        ("<!-- not run -->\n```sh\na\n```\n", 1),
        ("<!-- not run: soon -->\n```sh\na\n```\n", 1),
        ("<!-- not run: needs a browser -->\ntext\n", 2),
        ("<!-- not run: needs a browser -->\n```yaml\na: b\n```\n", 1),
        ("<!-- not run: needs a browser -->\n", 1),
        ("<!-- skip the run -->\n", 1),
        ("```bash\na\n```\n", 1),
        ("```\na\n```\n", 1),
        ("```sh skip\na\n```\n", 1),
        ("text\n```console\nout\n```\n", 3),
        ("```sh\na\n", 1),
    ] {
        assert_eq!(steps(page).unwrap_err().line, line, "{page}");
    }
}

#[test]
fn an_ellipsis_stands_for_what_varies_and_nothing_else_does() {
    for (expected, found, same) in [
        ("", "", true),
        ("", "x\n", false),
        ("a\nb\n", "a\nb\n", true),
        ("a\n", "a\nb\n", false),
        ("a …\n", "a b c\n", true),
        ("a … c\n", "a b c\n", true),
        ("a … c\n", "a b d\n", false),
        ("a…b…c", "a1b2c", true),
        ("a…b…c", "a1c2b", false),
        ("…", "", true),
        ("a\n…\nz\n", "a\nb\nc\nz\n", true),
        ("a\n…\nz\n", "a\nb\nc\n", false),
        ("…\nb\n…\n", "a\nb\nb\nc\n", true),
    ] {
        assert_eq!(is_shown(expected, found), same, "{expected:?} {found:?}");
    }
}
