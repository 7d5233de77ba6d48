//! From bytes to lines and columns, as an editor counts them.

use bulla_yaml::Position;

/// Where the lines of a text begin.
#[derive(Debug)]
pub(crate) struct Lines {
    starts: Vec<u32>,
}

impl Lines {
    pub(crate) fn new(text: &str) -> Self {
        let mut starts = vec![0];
        let bytes = text.as_bytes();
        for place in memchr::memchr2_iter(b'\n', b'\r', bytes) {
            if bytes[place] == b'\n' || bytes.get(place + 1) != Some(&b'\n') {
                starts.push(place as u32 + 1);
            }
        }
        Self { starts }
    }

    /// Line and column of the byte `offset` of `text`, the one that the lines are of.
    pub(crate) fn position(&self, text: &str, offset: usize) -> Position {
        let offset = offset.min(text.len());
        let line = self.starts.partition_point(|&start| start as usize <= offset);
        let start = self.starts[line - 1] as usize;
        let column = 1 + text.get(start..offset).map_or(0, |before| before.chars().count());
        Position { line, column }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_every_kind_of_break() {
        let text = "é\nb\r\nc\rd";
        let lines = Lines::new(text);
        let at = |character| {
            let position = lines.position(text, text.find(character).unwrap());
            (position.line, position.column)
        };
        assert_eq!([at('é'), at('b'), at('c'), at('d')], [(1, 1), (2, 1), (3, 1), (4, 1)]);
        assert_eq!(lines.position(text, 2), Position { line: 1, column: 2 });
        assert_eq!(lines.position("", 7), Position { line: 1, column: 1 });
    }
}
