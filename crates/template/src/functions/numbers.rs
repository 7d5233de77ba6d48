//! Arithmetic, and numbers read from whatever they are given as: what is no number counts as 0.

use crate::error::{Limit, Reason};
use crate::format;
use crate::functions::Type::{Any, Float, Int, Text};
use crate::functions::{Function, function, integer, text};
use crate::number::{parse_float, parse_integer};
use crate::value::{Item, ListKind, Work};

pub(crate) static FUNCTIONS: &[Function] = &[
    function("add", &[], Some(Any), |_, arguments| {
        Ok(Item::Int64(arguments.iter().map(to_int).fold(0, i64::wrapping_add)))
    }),
    function("add1", &[Any], None, |_, arguments| Ok(Item::Int64(to_int(&arguments[0]).wrapping_add(1)))),
    function("atoi", &[Text], None, |_, arguments| Ok(Item::Int(atoi(text(arguments, 0))))),
    function("biggest", &[Any], Some(Any), |_, arguments| Ok(largest(arguments))),
    function("ceil", &[Any], None, |_, arguments| Ok(Item::Float(to_float(&arguments[0]).ceil()))),
    function("div", &[Any; 2], None, |_, arguments| divided(arguments, i64::wrapping_div)),
    function("float64", &[Any], None, |_, arguments| Ok(Item::Float(to_float(&arguments[0])))),
    function("floor", &[Any], None, |_, arguments| Ok(Item::Float(to_float(&arguments[0]).floor()))),
    function("int", &[Any], None, |_, arguments| Ok(Item::Int(to_int(&arguments[0])))),
    function("int64", &[Any], None, |_, arguments| Ok(Item::Int64(to_int(&arguments[0])))),
    function("max", &[Any], Some(Any), |_, arguments| Ok(largest(arguments))),
    function("maxf", &[Any], Some(Any), |_, arguments| Ok(floats(arguments, f64::max))),
    function("min", &[Any], Some(Any), |_, arguments| {
        Ok(Item::Int64(arguments.iter().map(to_int).min().unwrap_or_default()))
    }),
    function("minf", &[Any], Some(Any), |_, arguments| Ok(floats(arguments, f64::min))),
    function("mod", &[Any; 2], None, |_, arguments| divided(arguments, i64::wrapping_rem)),
    function("mul", &[Any], Some(Any), |_, arguments| {
        Ok(Item::Int64(arguments.iter().map(to_int).fold(1, i64::wrapping_mul)))
    }),
    function("round", &[Any, Int], Some(Float), |_, arguments| Ok(Item::Float(rounded(arguments)))),
    function("seq", &[], Some(Int), sequence),
    function("sub", &[Any; 2], None, |_, arguments| {
        Ok(Item::Int64(to_int(&arguments[0]).wrapping_sub(to_int(&arguments[1]))))
    }),
    function("toDecimal", &[Any], None, |work, arguments| {
        let spelled = format::plain(work, &arguments[0])?;
        let octal = std::str::from_utf8(&spelled).ok().and_then(|text| parse_integer(text, 8));
        Ok(Item::Int64(octal.unwrap_or(0)))
    }),
    function("until", &[Int], None, |work, arguments| {
        let count = integer(arguments, 0);
        let numbers = steps(work, 0, count, if count < 0 { -1 } else { 1 })?;
        work.list(ListKind::Ints, numbers.into_iter().map(Item::Int).collect())
    }),
    function("untilStep", &[Int; 3], None, |work, arguments| {
        let numbers = steps(work, integer(arguments, 0), integer(arguments, 1), integer(arguments, 2))?;
        work.list(ListKind::Ints, numbers.into_iter().map(Item::Int).collect())
    }),
];

/// The item as an integer, as sprig's `int` reads it.
pub(crate) fn to_int(item: &Item) -> i64 {
    match item {
        Item::Bool(bool) => i64::from(*bool),
        Item::Int(integer) | Item::Int64(integer) => *integer,
        Item::Byte(byte) => i64::from(*byte),
        // What does not fit is the smallest integer on the processors that Go runs on.
        Item::Float(float) if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(float) => i64::MIN,
        Item::Float(float) => *float as i64,
        Item::Text(text) => std::str::from_utf8(text).ok().and_then(|text| parse_integer(whole(text), 0)).unwrap_or(0),
        Item::Missing | Item::Nil | Item::List(_) | Item::Map(_) => 0,
    }
}

/// `12.00` without its zeros.
fn whole(text: &str) -> &str {
    let before = text.trim_end_matches('0');
    if before.len() < text.len() { before.strip_suffix('.').unwrap_or(text) } else { text }
}

/// The item as a float, as sprig's `float64` reads it.
fn to_float(item: &Item) -> f64 {
    match item {
        Item::Float(float) => *float,
        Item::Text(text) => {
            let spelled = std::str::from_utf8(text).unwrap_or_default();
            let infinite = spelled.contains(['n', 'N']);
            parse_float(spelled).filter(|float| float.is_finite() || infinite).unwrap_or(0.0)
        }
        #[expect(clippy::cast_precision_loss, reason = "as Go converts it")]
        item => to_int(item) as f64,
    }
}

/// `strconv.Atoi`, of which only the number is looked at: too large is the largest.
fn atoi(text: &[u8]) -> i64 {
    let text = std::str::from_utf8(text).unwrap_or_default();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    parse_integer(text, 10).unwrap_or(if text.starts_with('-') { i64::MIN } else { i64::MAX })
}

fn largest(arguments: &[Item]) -> Item {
    Item::Int64(arguments.iter().map(to_int).max().unwrap_or_default())
}

fn floats(arguments: &[Item], choose: fn(f64, f64) -> f64) -> Item {
    let choose = |one: f64, other: f64| if one.is_nan() || other.is_nan() { f64::NAN } else { choose(one, other) };
    Item::Float(arguments.iter().map(to_float).reduce(choose).unwrap_or_default())
}

fn divided(arguments: &[Item], divide: fn(i64, i64) -> i64) -> Result<Item, Reason> {
    let divisor = to_int(&arguments[1]);
    if divisor == 0 {
        return Err(Reason::Invalid("division by zero"));
    }
    Ok(Item::Int64(divide(to_int(&arguments[0]), divisor)))
}

fn rounded(arguments: &[Item]) -> f64 {
    let up_from = if let Some(Item::Float(up_from)) = arguments.get(2) { *up_from } else { 0.5 };
    let power = 10_f64.powi(integer(arguments, 1).clamp(-400, 400) as i32);
    let digits = power * to_float(&arguments[0]);
    (if digits.fract() >= up_from { digits.ceil() } else { digits.floor() }) / power
}

/// Integers from `start` to before `stop`.
fn steps(work: &mut Work, start: i64, stop: i64, step: i64) -> Result<Vec<i64>, Reason> {
    if (stop < start) != (step < 0) || step == 0 {
        return Ok(Vec::new());
    }
    let count = usize::try_from(stop.abs_diff(start).div_ceil(step.unsigned_abs())).unwrap_or(usize::MAX);
    if count > work.room() {
        return Err(Limit::Memory.into());
    }
    work.spend(count)?;
    Ok((0..count as i64).map(|place| start.wrapping_add(place.wrapping_mul(step))).collect())
}

fn sequence(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let towards = |start: i64, end: i64| if end < start { -1 } else { 1 };
    let numbers: Vec<i64> = (0..arguments.len()).map(|place| integer(arguments, place)).collect();
    let (start, end, step) = match numbers[..] {
        [end] => (1, end, towards(1, end)),
        [start, end] => (start, end, towards(start, end)),
        [start, step, end] if end >= start || step <= 0 => (start, end, step),
        _ => return work.text(Vec::new()),
    };
    let numbers = steps(work, start, end.wrapping_add(towards(start, end)), step)?;
    let spelled: Vec<String> = numbers.iter().map(i64::to_string).collect();
    work.text(spelled.join(" ").into_bytes())
}
