//! Which token a comment belongs to: go-yaml's rules, observed with its own parser.
//!
//! - Behind content on its line it is that token's *line* comment.
//! - Lines of their own are the *head* of the token that follows them, unless an empty line or a smaller indentation
//!   separates them from it; then they are the *foot* of what came before.
//! - An empty line between two heads stays between them; only the first empty line can make a foot.

use super::{Mark, PendingComment, Role, Scanner, TokenKind};
use crate::tree::Span;

/// How far go-yaml looks ahead for the next comment line, in bytes of blanks and empty lines.
const WINDOW: usize = 512;

impl Scanner<'_> {
    /// `- # comment` before a nested sequence reads like a line comment of the outer `-`, but heads what follows.
    pub(super) fn turn_line_comment_into_head(&mut self) {
        let count = self.tokens.len();
        if self.comments.is_empty() || count < 2 {
            return;
        }
        let after_first_entry = matches!(self.tokens[count - 2].kind, TokenKind::BlockSequenceStart)
            && matches!(self.tokens[count - 1].kind, TokenKind::BlockEntry);
        if !after_first_entry || self.is_break(0) {
            return;
        }
        let mark = self.mark;
        if let Some(comment) = self.comments.back_mut()
            && comment.role == Role::Line
        {
            comment.role = Role::Head;
            if comment.start.line == mark.line - 1 {
                comment.token = mark.index;
            }
        }
    }

    /// Takes the comment on the rest of this line, if there is one, for the token at `index`.
    pub(super) fn scan_line_comment(&mut self, index: i32) {
        if self.newlines > 0 {
            return;
        }
        let blanks = (0..WINDOW).take_while(|&ahead| self.is_blank(ahead)).count();
        if blanks == WINDOW || self.byte(blanks) != b'#' {
            return;
        }
        for _ in 0..blanks {
            self.skip();
        }
        let start = self.mark;
        let line = self.scan_comment_line();
        self.comments.push_back(PendingComment {
            role: Role::Line,
            lines: vec![line],
            token: index,
            scan: 0,
            start,
            end: 0,
        });
    }

    /// Takes comment lines until the next token, from the `#` at the current place. `scan` is where the search for the
    /// next token began.
    pub(super) fn scan_comments(&mut self, scan: Mark) {
        let count = self.tokens.len();
        let mut token = &self.tokens[count - 1];
        if matches!(token.kind, TokenKind::FlowEntry) && count > 1 {
            token = &self.tokens[count - 2];
        }
        let after_value = matches!(token.kind, TokenKind::Value);
        let mut queue = Queue { lines: Vec::new(), token: token.start.index, scan: scan.index, start: Mark::default() };

        // A foot starts on the line below the content. If there is content on this line, that is the next line.
        let mut foot_line = -1;
        if scan.line > 0 {
            foot_line = self.mark.line - self.newlines + 1;
            if self.newlines == 0 && self.mark.column > 1 {
                foot_line += 1;
            }
        }
        let mut recent_empty = false;
        let mut first_empty = self.newlines <= 1;
        let mut line = self.mark.line;
        let mut column = self.mark.column;
        let mut indent = self.indent.max(0);

        let mut ahead = 0;
        while ahead < WINDOW {
            column += 1;
            if self.is_blank(ahead) {
                ahead += 1;
                continue;
            }
            let byte = self.byte(ahead);
            let index = self.mark.index + ahead as i32;
            let closes_flow = self.flow_level > 0 && matches!(byte, b']' | b'}');
            if closes_flow || self.is_break_or_end(ahead) {
                if closes_flow || !recent_empty {
                    let dedented = queue.start.column - 1 < indent;
                    if closes_flow || (first_empty && (queue.start.line == foot_line && !after_value || dedented)) {
                        if !queue.lines.is_empty() {
                            if dedented {
                                // Indented less than what came before, so it is not about that.
                                queue.token = queue.start.index;
                            }
                            let foot = queue.split(Role::Foot, index);
                            self.comments.push_back(foot);
                        }
                    } else if !queue.lines.is_empty() && byte != 0 {
                        queue.lines.push(Span::default());
                    }
                }
                if !self.is_break(ahead) {
                    break;
                }
                first_empty = false;
                recent_empty = true;
                column = 0;
                line += 1;
                ahead += 1;
                continue;
            }
            if !queue.lines.is_empty() && column - 1 < indent && column != queue.start.column {
                // Another, smaller indentation: what was read so far belongs to what came before.
                let foot = queue.split(Role::Foot, index);
                self.comments.push_back(foot);
            }
            if byte != b'#' {
                break;
            }
            if queue.lines.is_empty() {
                queue.start = Mark { offset: self.mark.offset + ahead as u32, index, line, column };
            }
            while self.mark.index < index {
                if self.is_break(0) {
                    self.skip_line();
                } else {
                    self.skip();
                }
            }
            let text = self.scan_comment_line();
            queue.lines.push(text);

            // The place behind the line is looked at with the next count, as go-yaml does.
            ahead = 1;
            column = 0;
            line = self.mark.line;
            indent = self.indent.max(0);
            recent_empty = false;
        }
        if !queue.lines.is_empty() {
            queue.token = queue.start.index;
            let end = self.mark.index + ahead as i32 - 1;
            let head = queue.split(Role::Head, end);
            self.comments.push_back(head);
        }
    }

    /// Takes the text from `#` to the end of the line.
    fn scan_comment_line(&mut self) -> Span {
        let start = self.mark.offset;
        while !self.is_break_or_end(0) {
            self.skip();
        }
        Span { start, end: self.mark.offset }
    }
}

/// The comment lines read so far, not yet given a role.
struct Queue {
    lines: Vec<Span>,
    token: i32,
    scan: i32,
    start: Mark,
}

impl Queue {
    /// Ends the run at `index`; the next one is searched from there.
    fn split(&mut self, role: Role, index: i32) -> PendingComment {
        let comment = PendingComment {
            role,
            lines: std::mem::take(&mut self.lines),
            token: self.token,
            scan: self.scan,
            start: self.start,
            end: index,
        };
        self.scan = index;
        self.token = index;
        comment
    }
}
