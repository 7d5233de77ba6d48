//! Floats as Go spells them (`strconv.AppendFloat` with the formats `e`, `f` and `g`).

/// Digits and an exponent: `0.DIGITS × 10^point`, without zeros at the end.
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    point: i32,
}

/// More digits than any float has.
const MOST_DIGITS: usize = 1100;

/// `format` is one of `e`, `E`, `f`, `g`, `G`; without a precision, as many digits as are needed to read the same float.
pub(crate) fn spell(float: f64, format: char, precision: Option<usize>) -> String {
    if float.is_nan() {
        return "NaN".to_owned();
    }
    if float.is_infinite() {
        return if float > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    match format {
        'e' | 'E' => exponential(&decimal(float, precision.map(|precision| precision + 1)), format, precision),
        'f' => match precision {
            Some(precision) => padded(&format!("{:.*}", precision.min(MOST_DIGITS), float), precision),
            None => format!("{float}"),
        },
        'b' => binary(float),
        'x' | 'X' => hexadecimal(float, format == 'X', precision),
        _ => general(float, format, precision),
    }
}

/// Bits of a float behind its point.
const MANTISSA: u32 = 52;

/// The integer of 53 bits and the power of two that a finite float is the product of.
fn parts(float: f64) -> (u64, i32) {
    let bits = float.to_bits();
    let mantissa = bits & ((1 << MANTISSA) - 1);
    match (bits >> MANTISSA & 0x7ff) as i32 {
        0 => (mantissa, -1074),
        exponent => (mantissa | 1 << MANTISSA, exponent - 1075),
    }
}

fn sign(float: f64) -> &'static str {
    if float.is_sign_negative() { "-" } else { "" }
}

fn binary(float: f64) -> String {
    let (mantissa, exponent) = parts(float);
    format!("{}{mantissa}p{exponent:+}", sign(float))
}

fn hexadecimal(float: f64, upper: bool, precision: Option<usize>) -> String {
    let (mut mantissa, mut exponent) = parts(float);
    if mantissa == 0 {
        exponent = 0;
    } else {
        // The first digit is 1.
        let shift = mantissa.leading_zeros() - (63 - MANTISSA);
        mantissa <<= shift;
        exponent += MANTISSA as i32 - shift as i32;
    }
    if let Some(dropped) = precision.and_then(|precision| MANTISSA.checked_sub(precision.min(13) as u32 * 4)) {
        let rest = mantissa & ((1 << dropped) - 1);
        mantissa >>= dropped;
        let half = 1_u64 << dropped >> 1;
        mantissa += u64::from(dropped > 0 && (rest > half || rest == half && mantissa & 1 == 1));
        mantissa <<= dropped;
        if mantissa >> (MANTISSA + 1) > 0 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    let digits = format!("{:013x}", mantissa & ((1 << MANTISSA) - 1));
    let digits = match precision {
        None => digits.trim_end_matches('0').to_owned(),
        Some(precision) => format!("{:0<precision$}", &digits[..precision.min(13)], precision = precision),
    };
    let point = if digits.is_empty() { "" } else { "." };
    let power = if exponent < 0 { '-' } else { '+' };
    let spelled =
        format!("{}0x{}{point}{digits}p{power}{:02}", sign(float), mantissa >> MANTISSA, exponent.unsigned_abs());
    if upper { spelled.to_uppercase() } else { spelled }
}

/// Rust writes so many digits behind the point at most; all others are zero.
fn padded(text: &str, precision: usize) -> String {
    format!("{text}{}", "0".repeat(precision.saturating_sub(MOST_DIGITS)))
}

fn general(float: f64, format: char, precision: Option<usize>) -> String {
    let precision = precision.map(|precision| precision.max(1));
    let decimal = decimal(float, precision);
    let count = decimal.digits.len();
    let mut largest = precision.unwrap_or(6);
    if precision.is_some() && largest > count && count as i32 >= decimal.point {
        largest = count;
    }
    let exponent = if count == 0 { 0 } else { decimal.point - 1 };
    if exponent < -4 || exponent >= largest as i32 {
        let precision = precision.map_or(count, |precision| precision.min(count));
        let format = if format == 'G' { 'E' } else { 'e' };
        return exponential(&decimal, format, Some(precision.saturating_sub(1)));
    }
    let behind = usize::try_from(count as i32 - decimal.point).unwrap_or(0);
    let mut text = String::new();
    if decimal.negative {
        text.push('-');
    }
    let digit = |place: i32| {
        let place = usize::try_from(place).ok();
        char::from(place.and_then(|place| decimal.digits.get(place)).copied().unwrap_or(b'0'))
    };
    if decimal.point > 0 && count > 0 {
        text.extend((0..decimal.point).map(digit));
    } else {
        text.push('0');
    }
    if behind > 0 && count > 0 {
        text.push('.');
        text.extend((decimal.point..decimal.point + behind as i32).map(digit));
    }
    text
}

fn exponential(decimal: &Decimal, format: char, precision: Option<usize>) -> String {
    let mut digits = decimal.digits.clone();
    if digits.is_empty() {
        digits.push(b'0');
    }
    let precision = precision.unwrap_or(digits.len() - 1);
    digits.resize(precision + 1, b'0');
    let mut text = String::new();
    if decimal.negative {
        text.push('-');
    }
    text.push(char::from(digits[0]));
    if precision > 0 {
        text.push('.');
        text.extend(digits[1..].iter().map(|&digit| char::from(digit)));
    }
    let exponent = if decimal.digits.is_empty() { 0 } else { decimal.point - 1 };
    let sign = if exponent < 0 { '-' } else { '+' };
    let exponent = exponent.unsigned_abs();
    format!("{text}{format}{sign}{exponent:02}")
}

/// The first `count` digits, rounded, or all that are needed.
fn decimal(float: f64, count: Option<usize>) -> Decimal {
    let text = match count {
        Some(count) => format!("{:.*e}", count.clamp(1, MOST_DIGITS) - 1, float),
        None => format!("{float:e}"),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mut digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    while digits.last() == Some(&b'0') {
        digits.pop();
    }
    let point = exponent.parse::<i32>().unwrap_or(0) + 1;
    Decimal { negative: float.is_sign_negative(), point: if digits.is_empty() { 0 } else { point }, digits }
}
