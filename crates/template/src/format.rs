//! Go's `fmt`: what `print`, `printf` and an action write.
//!
//! Source: observation of Go 1.26 `fmt`. What a verb cannot print is written as Go does, `%!d(string=…)`: that is output. A
//! printer takes no more than the memory that is left; what is beyond is an error, not output that is cut.

use bulla_wipe::Wiping;

use crate::error::{Limit, Reason};
use crate::float;
use crate::quote::{can_be_raw, quote};
use crate::unicode::{characters, count, decode, is_printable};
use crate::value::{Item, ListKind, Map, MapKind, Text, Work};

/// Larger widths and precisions are not taken for such.
const LARGEST: i64 = 1_000_000;

/// `fmt.Sprintf`.
pub(crate) fn printf(work: &mut Work, format: &[u8], arguments: &[Item]) -> Result<Text, Reason> {
    let mut printer = Printer::new(work);
    printer.printf(format, arguments)?;
    printer.finish()
}

/// `fmt.Sprint`: a space between two neighbours of which neither is a string.
pub(crate) fn print(work: &mut Work, arguments: &[Item]) -> Result<Text, Reason> {
    if let [Item::Text(text)] = arguments {
        return Ok(text.clone());
    }
    let mut printer = Printer::new(work);
    let mut before_is_text = true;
    for argument in arguments {
        let is_text = matches!(argument, Item::Text(_));
        if !is_text && !before_is_text {
            printer.put(b" ")?;
        }
        printer.argument(argument, 'v')?;
        before_is_text = is_text;
    }
    printer.finish()
}

/// `fmt.Sprintln`: a space between all, and a line break.
pub(crate) fn println(work: &mut Work, arguments: &[Item]) -> Result<Text, Reason> {
    let mut printer = Printer::new(work);
    for (place, argument) in arguments.iter().enumerate() {
        if place > 0 {
            printer.put(b" ")?;
        }
        printer.argument(argument, 'v')?;
    }
    printer.put(b"\n")?;
    printer.finish()
}

/// As `%v` writes it.
pub(crate) fn plain(work: &mut Work, item: &Item) -> Result<Text, Reason> {
    print(work, std::slice::from_ref(item))
}

#[derive(Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that a format may have")]
struct Flags {
    width: Option<usize>,
    precision: Option<usize>,
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    /// `%#v`.
    syntax: bool,
}

struct Printer<'w> {
    work: &'w mut Work,
    out: Wiping<Vec<u8>>,
    flags: Flags,
}

type Done = Result<(), Reason>;

impl<'w> Printer<'w> {
    fn new(work: &'w mut Work) -> Self {
        Self { work, out: Wiping::default(), flags: Flags::default() }
    }

    fn finish(self) -> Result<Text, Reason> {
        self.work.allow(self.out.len())?;
        Ok(Text::from(self.out))
    }

    fn put(&mut self, bytes: &[u8]) -> Done {
        if self.out.len() + bytes.len() > self.work.room() {
            return Err(Limit::Memory.into());
        }
        self.out.append(bytes);
        Ok(())
    }

    fn put_char(&mut self, character: char) -> Done {
        self.put(character.encode_utf8(&mut [0; 4]).as_bytes())
    }

    fn printf(&mut self, format: &[u8], arguments: &[Item]) -> Done {
        let mut next = 0;
        let mut reordered = false;
        let mut rest = format;
        while !rest.is_empty() {
            let text = rest.iter().position(|&byte| byte == b'%').unwrap_or(rest.len());
            self.put(&rest[..text])?;
            let Some(directive) = rest.get(text + 1..) else {
                break;
            };
            rest = directive;
            self.flags = Flags::default();
            while let Some(flag) = rest.first() {
                match flag {
                    b'#' => self.flags.sharp = true,
                    b'0' => self.flags.zero = true,
                    b'+' => self.flags.plus = true,
                    b'-' => self.flags.minus = true,
                    b' ' => self.flags.space = true,
                    _ => break,
                }
                rest = &rest[1..];
            }
            let mut index = Index { next, is_good: true, reordered: false };
            let mut after_index = index.read(&mut rest, arguments.len());
            if rest.first() == Some(&b'*') {
                rest = &rest[1..];
                let width = index.integer(arguments);
                match width {
                    Some(width) => {
                        if width < 0 {
                            self.flags.minus = true;
                            self.flags.zero = false;
                        }
                        self.flags.width = Some(width.unsigned_abs() as usize);
                    }
                    None => self.put(b"%!(BADWIDTH)")?,
                }
                after_index = false;
            } else {
                self.flags.width = number(&mut rest);
                if after_index && self.flags.width.is_some() {
                    index.is_good = false;
                }
            }
            if rest.len() > 1 && rest[0] == b'.' {
                rest = &rest[1..];
                if after_index {
                    index.is_good = false;
                }
                after_index = index.read(&mut rest, arguments.len());
                if rest.first() == Some(&b'*') {
                    rest = &rest[1..];
                    self.flags.precision = index.integer(arguments).and_then(|precision| precision.try_into().ok());
                    if self.flags.precision.is_none() {
                        self.put(b"%!(BADPREC)")?;
                    }
                    after_index = false;
                } else {
                    self.flags.precision = Some(number(&mut rest).unwrap_or(0));
                }
            }
            if !after_index {
                index.read(&mut rest, arguments.len());
            }
            reordered |= index.reordered;
            next = index.next;
            if rest.is_empty() {
                self.put(b"%!(NOVERB)")?;
                break;
            }
            let (verb, length) = decode(rest);
            rest = &rest[length..];
            if verb == '%' {
                self.put(b"%")?;
            } else if !index.is_good {
                self.bad(verb, b"(BADINDEX)")?;
            } else if let Some(argument) = arguments.get(next) {
                if matches!(verb, 'v' | 'w') {
                    self.flags.syntax = std::mem::take(&mut self.flags.sharp);
                    self.flags.plus = false;
                }
                self.argument(argument, verb)?;
                next += 1;
            } else {
                self.bad(verb, b"(MISSING)")?;
            }
        }
        if reordered || next >= arguments.len() {
            return Ok(());
        }
        self.flags = Flags::default();
        self.put(b"%!(EXTRA ")?;
        for (place, argument) in arguments[next..].iter().enumerate() {
            if place > 0 {
                self.put(b", ")?;
            }
            if !matches!(argument, Item::Nil | Item::Missing) {
                self.put(self.work.type_name(argument).as_bytes())?;
                self.put(b"=")?;
            }
            self.argument(argument, 'v')?;
        }
        self.put(b")")
    }

    fn bad(&mut self, verb: char, what: &[u8]) -> Done {
        self.put(b"%!")?;
        self.put_char(verb)?;
        self.put(what)
    }

    fn argument(&mut self, item: &Item, verb: char) -> Done {
        match (item, verb) {
            (Item::Nil | Item::Missing, 'T' | 'v') => self.pad(b"<nil>"),
            (Item::Nil | Item::Missing, _) => self.bad(verb, b"(<nil>)"),
            (_, 'T') => {
                let name = self.work.type_name(item);
                let shown = truncated(name.as_bytes(), self.flags.precision);
                self.pad(shown)
            }
            (Item::List(_) | Item::Map(_), 'p') => Err(Reason::Invalid("`%p` writes an address")),
            _ => self.item(item, verb, 0),
        }
    }

    fn item(&mut self, item: &Item, verb: char, depth: usize) -> Done {
        if depth > self.work.depth() {
            return Err(Limit::Depth.into());
        }
        self.work.spend(1)?;
        match item {
            Item::Missing | Item::Nil if self.flags.syntax => self.put(b"interface {}(nil)"),
            Item::Missing | Item::Nil => self.put(b"<nil>"),
            Item::Bool(bool) => match verb {
                't' | 'v' => self.pad(if *bool { b"true" } else { b"false" }),
                _ => self.bad_verb(item, verb),
            },
            Item::Int(integer) | Item::Int64(integer) => self.integer(item, integer.unsigned_abs(), *integer < 0, verb),
            Item::Byte(byte) => self.integer(item, u64::from(*byte), false, verb),
            Item::Float(float) => self.float(item, *float, verb),
            Item::Text(text) => self.text(item, text, verb),
            Item::List(id) => {
                let list = self.work.list_of(*id);
                let (kind, is_nil, length) = (list.kind, list.is_nil, list.items.len());
                let [open, between, close] = if self.flags.syntax { ["{", ", ", "}"] } else { ["[", " ", "]"] };
                if self.flags.syntax {
                    self.put(self.work.type_name(item).as_bytes())?;
                    if is_nil {
                        return self.put(b"(nil)");
                    }
                }
                self.put(open.as_bytes())?;
                for place in 0..length {
                    if place > 0 {
                        self.put(between.as_bytes())?;
                    }
                    let Some(element) = self.work.list_of(*id).items.get(place).cloned() else {
                        break;
                    };
                    match element {
                        Item::Missing | Item::Nil if kind != ListKind::Any => self.put(b"<nil>")?,
                        _ => self.item(&element, verb, depth + 1)?,
                    }
                }
                self.put(close.as_bytes())
            }
            Item::Map(id) => {
                let [open, between, close] = if self.flags.syntax { ["{", ", ", "}"] } else { ["map[", " ", "]"] };
                let Map { kind, is_nil, entries } = self.work.map_of(*id);
                let (is_nil, entries): (bool, Vec<(Text, Item)>) = (
                    *is_nil && *kind == MapKind::Any,
                    entries.iter().map(|(key, item)| (key.clone(), item.clone())).collect(),
                );
                if self.flags.syntax {
                    self.put(self.work.type_name(item).as_bytes())?;
                    if is_nil {
                        return self.put(b"(nil)");
                    }
                }
                self.put(open.as_bytes())?;
                for (place, (key, value)) in entries.into_iter().enumerate() {
                    if place > 0 {
                        self.put(between.as_bytes())?;
                    }
                    self.item(&Item::Text(key), verb, depth + 1)?;
                    self.put(b":")?;
                    self.item(&value, verb, depth + 1)?;
                }
                self.put(close.as_bytes())
            }
        }
    }

    /// What a verb cannot print: `%!d(string=…)`.
    fn bad_verb(&mut self, item: &Item, verb: char) -> Done {
        self.bad(verb, b"(")?;
        self.put(self.work.type_name(item).as_bytes())?;
        self.put(b"=")?;
        self.item(item, 'v', 0)?;
        self.put(b")")
    }

    fn text(&mut self, item: &Item, text: &[u8], verb: char) -> Done {
        match verb {
            'v' if self.flags.syntax => self.quoted(text),
            'v' | 's' => self.pad(truncated(text, self.flags.precision)),
            'q' => self.quoted(truncated(text, self.flags.precision)),
            'x' | 'X' => self.hexadecimal(text, verb == 'X'),
            _ => self.bad_verb(item, verb),
        }
    }

    fn quoted(&mut self, text: &[u8]) -> Done {
        if self.flags.sharp && can_be_raw(text) {
            let mut raw = Wiping::<Vec<u8>>::with_capacity(text.len() + 2);
            raw.append(b"`");
            raw.append(text);
            raw.append(b"`");
            return self.pad(&raw);
        }
        let quoted = quote(text, '"', self.flags.plus);
        self.pad(&quoted)
    }

    fn hexadecimal(&mut self, text: &[u8], upper: bool) -> Done {
        let text = &text[..text.len().min(self.flags.precision.unwrap_or(usize::MAX))];
        let prefix = if upper { "0X" } else { "0x" };
        let mut spelled = Wiping::<Vec<u8>>::with_capacity(text.len() * 5);
        for (place, byte) in text.iter().enumerate() {
            if self.flags.space && place > 0 {
                spelled.append(b" ");
            }
            if self.flags.sharp && (place == 0 || self.flags.space) {
                spelled.append(prefix.as_bytes());
            }
            let digits = if upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
            spelled.append(&[digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]);
        }
        self.pad(&spelled)
    }

    fn integer(&mut self, item: &Item, magnitude: u64, negative: bool, verb: char) -> Done {
        // What Go has as an unsigned number of 64 bits.
        let bits = if negative { magnitude.wrapping_neg() } else { magnitude };
        let (digits, prefix) = match verb {
            'v' if self.flags.syntax && matches!(item, Item::Byte(_)) => (format!("{magnitude:x}"), "0x"),
            'v' | 'd' => (magnitude.to_string(), ""),
            'b' => (format!("{magnitude:b}"), if self.flags.sharp { "0b" } else { "" }),
            'o' | 'O' => (format!("{magnitude:o}"), if verb == 'O' { "0o" } else { "" }),
            'x' => (format!("{magnitude:x}"), if self.flags.sharp { "0x" } else { "" }),
            'X' => (format!("{magnitude:X}"), if self.flags.sharp { "0X" } else { "" }),
            'c' => return self.pad(character(bits).encode_utf8(&mut [0; 4]).as_bytes()),
            'q' => {
                let quoted = quote(character(bits).encode_utf8(&mut [0; 4]).as_bytes(), '\'', self.flags.plus);
                return self.pad(&quoted);
            }
            'U' => return self.unicode(bits),
            _ => return self.bad_verb(item, verb),
        };
        let sign = if negative {
            "-"
        } else if self.flags.plus {
            "+"
        } else if self.flags.space {
            " "
        } else {
            ""
        };
        let mut least = 0;
        if let Some(precision) = self.flags.precision {
            if precision == 0 && magnitude == 0 {
                self.flags.zero = false;
                return self.pad(b"");
            }
            least = precision;
        } else if self.flags.zero && !self.flags.minus {
            least = self.flags.width.unwrap_or(0).saturating_sub(sign.len());
        }
        let mut zeros = "0".repeat(least.saturating_sub(digits.len()));
        if self.flags.sharp && matches!(verb, 'o' | 'O') && zeros.is_empty() && !digits.starts_with('0') {
            zeros.push('0');
        }
        let zero = std::mem::take(&mut self.flags.zero);
        let done = self.pad(format!("{sign}{prefix}{zeros}{digits}").as_bytes());
        self.flags.zero = zero;
        done
    }

    fn unicode(&mut self, code: u64) -> Done {
        let digits = format!("{code:X}");
        let zeros = "0".repeat(self.flags.precision.unwrap_or(0).max(4).saturating_sub(digits.len()));
        let shown = u32::try_from(code).ok().and_then(char::from_u32);
        let shown = shown.filter(|&shown| self.flags.sharp && is_printable(shown));
        let shown = shown.map_or_else(String::new, |shown| format!(" '{shown}'"));
        let zero = std::mem::take(&mut self.flags.zero);
        let done = self.pad(format!("U+{zeros}{digits}{shown}").as_bytes());
        self.flags.zero = zero;
        done
    }

    fn float(&mut self, item: &Item, float: f64, verb: char) -> Done {
        let (format, precision) = match verb {
            'v' => ('g', None),
            'e' | 'E' | 'f' => (verb, Some(6)),
            'F' => ('f', Some(6)),
            'b' | 'x' | 'X' if self.flags.sharp => return Err(Reason::Invalid("`#` with a float in base 2 or 16")),
            'g' | 'G' | 'b' | 'x' | 'X' => (verb, None),
            _ => return self.bad_verb(item, verb),
        };
        let precision = self.flags.precision.or(precision);
        let mut spelled = float::spell(float, format, precision);
        let sign = match spelled.as_bytes()[0] {
            b'-' | b'+' => spelled.remove(0),
            _ => '+',
        };
        let sign = if self.flags.space && sign == '+' && !self.flags.plus { ' ' } else { sign };
        if !float.is_finite() {
            let shown = if self.flags.plus || sign != '+' || (float.is_nan() && self.flags.space) {
                format!("{sign}{spelled}")
            } else if float.is_nan() {
                spelled
            } else {
                format!("+{spelled}")
            };
            let zero = std::mem::take(&mut self.flags.zero);
            let done = self.pad(shown.as_bytes());
            self.flags.zero = zero;
            return done;
        }
        if self.flags.sharp {
            spelled = with_point(&spelled, format, precision);
        }
        if !self.flags.plus && sign == '+' {
            return self.pad(spelled.as_bytes());
        }
        if self.flags.zero && !self.flags.minus {
            let zeros = self.flags.width.unwrap_or(0).saturating_sub(spelled.len() + 1);
            return self.put(format!("{sign}{}{spelled}", "0".repeat(zeros)).as_bytes());
        }
        self.pad(format!("{sign}{spelled}").as_bytes())
    }

    /// Writes `bytes` in the width that is asked for.
    fn pad(&mut self, bytes: &[u8]) -> Done {
        let missing = self.flags.width.map_or(0, |width| width.saturating_sub(count(bytes)));
        let padding = if self.flags.zero && !self.flags.minus { b'0' } else { b' ' };
        if missing > self.work.room() {
            return Err(Limit::Memory.into());
        }
        let padding = vec![padding; missing];
        if self.flags.minus {
            self.put(bytes)?;
            return self.put(&padding);
        }
        self.put(&padding)?;
        self.put(bytes)
    }
}

/// Which argument is next.
struct Index {
    next: usize,
    is_good: bool,
    reordered: bool,
}

impl Index {
    /// `[3]`, if it stands here.
    fn read(&mut self, rest: &mut &[u8], arguments: usize) -> bool {
        if rest.first() != Some(&b'[') {
            return false;
        }
        self.reordered = true;
        let Some(close) = rest.iter().position(|&byte| byte == b']').filter(|_| rest.len() >= 3) else {
            *rest = &rest[1..];
            self.is_good = false;
            return false;
        };
        let mut inside = &rest[1..close];
        let index = number(&mut inside).filter(|_| inside.is_empty());
        *rest = &rest[close + 1..];
        match index {
            Some(index) if (1..=arguments).contains(&index) => {
                self.next = index - 1;
                true
            }
            index => {
                self.is_good = false;
                index.is_some()
            }
        }
    }

    /// An argument that says a width.
    fn integer(&mut self, arguments: &[Item]) -> Option<i64> {
        let argument = arguments.get(self.next)?;
        self.next += 1;
        match argument {
            Item::Int(integer) | Item::Int64(integer) => {
                Some(*integer).filter(|width| (-LARGEST..=LARGEST).contains(width))
            }
            Item::Byte(byte) => Some(i64::from(*byte)),
            _ => None,
        }
    }
}

/// Digits at the front. Too many of them end the format, as in Go.
fn number(rest: &mut &[u8]) -> Option<usize> {
    let mut number: Option<usize> = None;
    while let Some(digit) = rest.first().filter(|byte| byte.is_ascii_digit()) {
        let before = number.unwrap_or(0);
        if before as i64 > LARGEST {
            *rest = &[];
            return None;
        }
        number = Some(before * 10 + usize::from(digit - b'0'));
        *rest = &rest[1..];
    }
    number
}

fn truncated(text: &[u8], precision: Option<usize>) -> &[u8] {
    let Some(precision) = precision else {
        return text;
    };
    let length = characters(text).take(precision).map(|(_, bytes)| bytes.len()).sum();
    &text[..length]
}

fn character(code: u64) -> char {
    u32::try_from(code).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// `#`: there is a point, and `g` keeps its zeros.
fn with_point(spelled: &str, format: char, precision: Option<usize>) -> String {
    let (number, exponent) = match spelled.find(['e', 'E']) {
        Some(place) => spelled.split_at(place),
        None => (spelled, ""),
    };
    let mut number = number.to_owned();
    let mut missing = if matches!(format, 'g' | 'G') { precision.unwrap_or(6) } else { 0 };
    let significant = number.trim_start_matches(['0', '.']).bytes().filter(u8::is_ascii_digit).count();
    missing = missing.saturating_sub(significant);
    if !number.contains('.') {
        if number == "0" {
            missing = missing.saturating_sub(1);
        }
        number.push('.');
    }
    number.push_str(&"0".repeat(missing));
    number + exponent
}
