//! Addresses, taken apart and put together as Go's `net/url` does.
//!
//! ```text
//! scheme:[//[userinfo@]host]path[?query][#fragment]      scheme:opaque[?query][#fragment]
//! ```

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use bulla_wipe::Wiping;

use crate::error::Reason;
use crate::functions::Type::{Map as Dict, Text as Address};
use crate::functions::{Function, function, text};
use crate::value::{Item, MapKind, Text, Work};

pub(crate) static FUNCTIONS: &[Function] = &[
    function("urlJoin", &[Dict], None, join),
    function("urlParse", &[Address], None, |work, arguments| {
        let address = Parsed::of(text(arguments, 0))?;
        let parts = [
            ("fragment", address.fragment),
            ("host", address.host.clone()),
            ("hostname", hostname(&address.host)),
            ("opaque", address.opaque),
            ("path", address.path),
            ("query", address.query),
            ("scheme", address.scheme),
            ("userinfo", address.user.unwrap_or_default()),
        ];
        let mut entries = BTreeMap::new();
        for (name, part) in parts {
            entries.insert(Text::new(name.as_bytes()), work.text(part)?);
        }
        work.map(MapKind::Any, entries)
    }),
];

type Bytes = Wiping<Vec<u8>>;

/// What may stand in a part as it is, beside letters, digits and `-._~`; all else is written as `%XX`.
const PATH: &[u8] = b"$&+,/:;=@";
const USER: &[u8] = b"$&+,;=";
const HOST: &[u8] = b"!\"$&'()*+,:;<=>[]";
const FRAGMENT: &[u8] = b"!$&()*+,/:;=?@";

/// What an address is made of, without the percent signs of the parts that have them.
#[derive(Default)]
struct Parsed {
    scheme: Bytes,
    opaque: Bytes,
    /// As it is written, percent signs and all.
    user: Option<Bytes>,
    host: Bytes,
    path: Bytes,
    query: Bytes,
    fragment: Bytes,
}

impl Parsed {
    fn of(address: &[u8]) -> Result<Self, Reason> {
        let (address, fragment) = cut(address, b'#');
        let mut parsed = Self { fragment: unescape(fragment)?, ..Self::default() };
        if address.iter().any(u8::is_ascii_control) {
            return Err(malformed());
        }
        if address == b"*" {
            parsed.path = owned(b"*");
            return Ok(parsed);
        }
        let (scheme, rest) = scheme(address)?;
        parsed.scheme = owned(&scheme.to_ascii_lowercase());
        let (rest, query) = cut(rest, b'?');
        parsed.query = owned(query);
        if !rest.starts_with(b"/") {
            if !scheme.is_empty() {
                parsed.opaque = owned(rest);
                return Ok(parsed);
            }
            // It would be taken for a scheme.
            if cut(rest, b'/').0.contains(&b':') {
                return Err(malformed());
            }
        }
        let has_authority = rest.starts_with(b"//") && (!scheme.is_empty() || !rest.starts_with(b"///"));
        let path = if has_authority {
            let rest = &rest[2..];
            let (authority, path) = rest.split_at(rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len()));
            parsed.authority(authority)?;
            path
        } else {
            rest
        };
        parsed.path = unescape(path)?;
        Ok(parsed)
    }

    fn authority(&mut self, authority: &[u8]) -> Result<(), Reason> {
        let (user, host) = match authority.iter().rposition(|&byte| byte == b'@') {
            Some(at) => (Some(&authority[..at]), &authority[at + 1..]),
            None => (None, authority),
        };
        self.host = host_of(&self.scheme, host)?;
        let Some(user) = user else { return Ok(()) };
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(byte);
        if !user.iter().all(allowed) {
            return Err(malformed());
        }
        let mut spelled = Bytes::default();
        match user.iter().position(|&byte| byte == b':') {
            Some(colon) => {
                escape(&unescape(&user[..colon])?, USER, &mut spelled);
                spelled.append(b":");
                escape(&unescape(&user[colon + 1..])?, USER, &mut spelled);
            }
            None => escape(&unescape(user)?, USER, &mut spelled),
        }
        self.user = Some(spelled);
        Ok(())
    }
}

/// What is before a colon, if that can be a scheme, and the rest.
fn scheme(address: &[u8]) -> Result<(&[u8], &[u8]), Reason> {
    for (place, byte) in address.iter().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if place > 0 => {}
            b':' if place > 0 => return Ok((&address[..place], &address[place + 1..])),
            b':' => return Err(malformed()),
            _ => break,
        }
    }
    Ok((b"", address))
}

fn host_of(scheme: &[u8], host: &[u8]) -> Result<Bytes, Reason> {
    match host.iter().rposition(|&byte| byte == b'[') {
        Some(0) => return address_in_brackets(host),
        Some(_) => return Err(malformed()),
        None => {}
    }
    if let Some(first) = host.iter().position(|&byte| byte == b':') {
        // Several hosts with a port each, as databases have them; not for the web.
        let strict = scheme == b"http" || scheme == b"https";
        let last = host.iter().rposition(|&byte| byte == b':').unwrap_or(first);
        if !is_port(&host[if strict { first } else { last }..]) {
            return Err(malformed());
        }
    }
    unescape_host(host)
}

/// `[fe80::1%25en0]:80`
fn address_in_brackets(host: &[u8]) -> Result<Bytes, Reason> {
    let close = host.iter().rposition(|&byte| byte == b']').ok_or_else(malformed)?;
    let (inside, port) = (&host[1..close], &host[close + 1..]);
    if !is_port(port) {
        return Err(malformed());
    }
    let (number, zone) = match inside.windows(3).position(|bytes| bytes == b"%25") {
        Some(place) => inside.split_at(place),
        None => (inside, &b""[..]),
    };
    let number = unescape_host(number)?;
    let zone_name = unescape_zone(zone)?;
    if zone_name.starts_with(b"%") && zone_name.len() == 1 {
        return Err(malformed());
    }
    let known = str::from_utf8(&number).ok().and_then(|number| number.parse::<Ipv6Addr>().ok());
    known.ok_or_else(malformed)?;
    let mut spelled = owned(b"[");
    spelled.append(&number);
    spelled.append(&zone_name);
    spelled.append(b"]");
    spelled.append(port);
    Ok(spelled)
}

/// A host without its port and its brackets.
fn hostname(host: &[u8]) -> Bytes {
    let colon = host.iter().rposition(|&byte| byte == b':').filter(|colon| is_port(&host[*colon..]));
    let name = &host[..colon.unwrap_or(host.len())];
    let inside = name.strip_prefix(b"[").and_then(|name| name.strip_suffix(b"]"));
    owned(inside.unwrap_or(name))
}

/// Nothing, or a colon and digits.
fn is_port(text: &[u8]) -> bool {
    match text.split_first() {
        None => true,
        Some((colon, digits)) => *colon == b':' && digits.iter().all(u8::is_ascii_digit),
    }
}

fn join(work: &mut Work, arguments: &[Item]) -> Result<Item, Reason> {
    let Some(Item::Map(id)) = arguments.first() else { return Err(Reason::Invalid("this is no map")) };
    let part = |name: &[u8]| match work.map_of(*id).entries.get(name) {
        None => Ok(Text::new(b"")),
        Some(Item::Text(text)) => Ok(text.clone()),
        Some(_) => Err(Reason::Invalid("a part of an address is a string")),
    };
    let (scheme, host, path) = (part(b"scheme")?, part(b"host")?, part(b"path")?);
    let (query, opaque, fragment) = (part(b"query")?, part(b"opaque")?, part(b"fragment")?);
    let userinfo = part(b"userinfo")?;
    let user = if userinfo.is_empty() {
        None
    } else {
        let mut address = owned(b"proto://");
        address.append(&userinfo);
        address.append(b"@host");
        Parsed::of(&address)?.user
    };
    let mut joined = Bytes::default();
    if !scheme.is_empty() {
        joined.append(&scheme);
        joined.append(b":");
    }
    if opaque.is_empty() {
        if !host.is_empty() || user.is_some() || !scheme.is_empty() && !path.is_empty() {
            joined.append(b"//");
        }
        if let Some(user) = user {
            joined.append(&user);
            joined.append(b"@");
        }
        escape(&host, HOST, &mut joined);
        if !path.is_empty() && !path.starts_with(b"/") && !host.is_empty() {
            joined.append(b"/");
        }
        if joined.is_empty() && cut(&path, b'/').0.contains(&b':') {
            joined.append(b"./");
        }
        if *path == *b"*" {
            joined.append(b"*");
        } else {
            escape(&path, PATH, &mut joined);
        }
    } else {
        joined.append(&opaque);
    }
    if !query.is_empty() {
        joined.append(b"?");
        joined.append(&query);
    }
    if !fragment.is_empty() {
        joined.append(b"#");
        escape(&fragment, FRAGMENT, &mut joined);
    }
    work.text(joined)
}

fn escape(text: &[u8], plain: &[u8], out: &mut Bytes) {
    for &byte in text {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || plain.contains(&byte) {
            out.append(&[byte]);
        } else {
            let digit = |number: u8| b"0123456789ABCDEF"[usize::from(number)];
            out.append(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

fn unescape(text: &[u8]) -> Result<Bytes, Reason> {
    unescape_if(text, |_, _| true)
}

/// In a host only bytes outside of ASCII, and the percent sign itself, are written with a percent sign.
fn unescape_host(text: &[u8]) -> Result<Bytes, Reason> {
    unescape_if(text, |byte, escaped| {
        if escaped { !byte.is_ascii() || byte == b'%' } else { !byte.is_ascii() || is_plain_in_host(byte) }
    })
}

fn unescape_zone(text: &[u8]) -> Result<Bytes, Reason> {
    unescape_if(text, |byte, escaped| {
        let more = escaped && (byte == b'%' || byte == b' ');
        more || is_plain_in_host(byte) || !escaped && !byte.is_ascii()
    })
}

fn is_plain_in_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || HOST.contains(&byte)
}

/// `allowed` is asked of each byte, and whether it was written with a percent sign.
fn unescape_if(text: &[u8], allowed: impl Fn(u8, bool) -> bool) -> Result<Bytes, Reason> {
    let mut out = Bytes::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, behind)) = rest.split_first() {
        let (byte, behind) = if first == b'%' {
            let [high, low, behind @ ..] = behind else { return Err(malformed()) };
            let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            let (high, low) = digit(high).zip(digit(low)).ok_or_else(malformed)?;
            (high << 4 | low, behind)
        } else {
            (first, behind)
        };
        if !allowed(byte, first == b'%') {
            return Err(malformed());
        }
        out.append(&[byte]);
        rest = behind;
    }
    Ok(out)
}

/// What is before the first `separator`, and what is behind it.
fn cut(text: &[u8], separator: u8) -> (&[u8], &[u8]) {
    match text.iter().position(|&byte| byte == separator) {
        Some(place) => (&text[..place], &text[place + 1..]),
        None => (text, b""),
    }
}

fn owned(text: &[u8]) -> Bytes {
    Bytes::new(text.to_vec())
}

fn malformed() -> Reason {
    Reason::Invalid("the address is malformed")
}
