//! Against the real go-yaml: the same documents accepted, with the same values, tags, styles and comments.

mod same;

use same::compare;

#[test]
fn adhoc() {
    let mut differ = 0;
    let mut read = 0; let mut refused = 0;
    let dir = std::env::var("ADHOC").unwrap();
    for line in std::fs::read_to_string(dir).unwrap().lines() {
        let text = std::fs::read(line).unwrap();
        match compare(&text) {
            Ok(same::Outcome::Read) => read += 1,
            Ok(_) => refused += 1,
            Err(difference) => { differ += 1; if differ < 30 { println!("{line}: {difference}"); } }
        }
    }
    println!("read {read} refused {refused} differ {differ}");
}

fn next(state: &mut u64) -> u64 { *state ^= *state << 13; *state ^= *state >> 7; *state ^= *state << 17; *state }

#[test]
fn adhoc_mutate() {
    let dir = std::env::var("ADHOC").unwrap();
    let n: u64 = std::env::var("COUNT").unwrap().parse().unwrap();
    let mut state: u64 = std::env::var("SEED").unwrap().parse().unwrap();
    let files: Vec<Vec<u8>> = std::fs::read_to_string(dir).unwrap().lines().map(|l| std::fs::read(l).unwrap()).filter(|t| t.len() < 3000).collect();
    let dict: &[&str] = &["- ", ": ", "#", " # c", "\n# c\n", "\"", "'", "|", ">", "|-\n", ">+\n", "&a ", "*a", "!!int ", "!x ", "\t", "\r\n", "\n---\n", "\n...\n", "? ", "[", "]", "{", "}", ",", "%YAML 1.1\n", "\u{feff}", "é", "\u{85}", "\u{2028}", "\\n", "\n", "\n\n", "  ", " ", "\n  ", "\n    # deep\n", "x", "<<: ", "- - ", "-", "''", "\"\"", "\\\n", "0x1", "~", "\n#\n\n#b\n", "\n #c\n\n"];
    let (mut read, mut refused, mut differ) = (0, 0, 0);
    for _ in 0..n {
        let mut t = files[(next(&mut state) % files.len() as u64) as usize].clone();
        // cut a window so that small inputs dominate
        if t.len() > 400 && next(&mut state) % 2 == 0 { let s = (next(&mut state) as usize) % (t.len() - 300); let s = t[..s].iter().rposition(|&b| b == b'\n').map_or(0, |p| p + 1); let e = (s + 300).min(t.len()); t = t[s..e].to_vec(); }
        let k = 1 + next(&mut state) % 2;
        for _ in 0..k {
            let at = (next(&mut state) as usize) % (t.len() + 1);
            match next(&mut state) % 6 {
                0 | 1 | 2 => { let d = dict[(next(&mut state) as usize) % dict.len()]; t.splice(at..at, d.bytes()); }
                3 => { let e = (at + 1 + (next(&mut state) as usize) % 8).min(t.len()); if at < e { t.drain(at..e); } }
                4 => { let e = (at + 1 + (next(&mut state) as usize) % 40).min(t.len()); let piece = t[at..e].to_vec(); let to = (next(&mut state) as usize) % (t.len() + 1); t.splice(to..to, piece); }
                _ => { let lines: Vec<Vec<u8>> = t.split_inclusive(|&b| b == b'\n').map(<[u8]>::to_vec).collect(); if lines.len() > 1 { let i = (next(&mut state) as usize) % lines.len(); let mut l2 = lines.clone(); let l = l2.remove(i); let j = (next(&mut state) as usize) % (l2.len() + 1); let mut l = l; if next(&mut state) % 2 == 0 { l.splice(0..0, b"  ".iter().copied()); } l2.insert(j, l); t = l2.concat(); } }
            }
        }
        if t.starts_with("\u{feff}".as_bytes()) || String::from_utf8_lossy(&t).contains("\u{feff}") && std::env::var("BOM").is_err() { continue; }
        match compare(&t) {
            Ok(same::Outcome::Read) => read += 1,
            Ok(_) => refused += 1,
            Err(difference) => { differ += 1; if differ < 12 { println!("=====\n{}\n----- {:?}\n{difference}", String::from_utf8_lossy(&t), String::from_utf8_lossy(&t)); } }
        }
    }
    println!("read {read} refused {refused} differ {differ}");
}
