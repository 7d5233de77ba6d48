//! What the named classes match, over the whole of Unicode.

use bulla_pattern::Pattern;
use bulla_testkit::needs_peers;

use crate::compare::same_as_go;

const CATEGORIES: &str =
    "C Cc Cf Cn Co Cs L LC Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi Po Ps S Sc Sk Sm So Z Zl Zp Zs";

/// Those of Unicode 15, of which Go finds only those of one word, and some that came later.
const SCRIPTS: &str = "Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_Vah Batak Bengali Bhaiksuki \
    Bopomofo Brahmi Braille Buginese Buhid Canadian_Aboriginal Carian Caucasian_Albanian Chakma Cham Cherokee \
    Chorasmian Common Coptic Cuneiform Cypriot Cypro_Minoan Cyrillic Deseret Devanagari Dives_Akuru Dogra Duployan \
    Egyptian_Hieroglyphs Elbasan Elymaic Ethiopic Georgian Glagolitic Gothic Grantha Greek Gujarati Gunjala_Gondi \
    Gurmukhi Han Hangul Hanifi_Rohingya Hanunoo Hatran Hebrew Hiragana Imperial_Aramaic Inherited \
    Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi Kannada Katakana Kawi Kayah_Li Kharoshthi \
    Khitan_Small_Script Khmer Khojki Khudawadi Lao Latin Lepcha Limbu Linear_A Linear_B Lisu Lycian Lydian Mahajani \
    Makasar Malayalam Mandaic Manichaean Marchen Masaram_Gondi Medefaidrin Meetei_Mayek Mende_Kikakui \
    Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi Mongolian Mro Multani Myanmar Nabataean Nag_Mundari Nandinagari \
    New_Tai_Lue Newa Nko Nushu Nyiakeng_Puachue_Hmong Ogham Ol_Chiki Old_Hungarian Old_Italic Old_North_Arabian \
    Old_Permic Old_Persian Old_Sogdian Old_South_Arabian Old_Turkic Old_Uyghur Oriya Osage Osmanya Pahawh_Hmong \
    Palmyrene Pau_Cin_Hau Phags_Pa Phoenician Psalter_Pahlavi Rejang Runic Samaritan Saurashtra Sharada Shavian \
    Siddham SignWriting Sinhala Sogdian Sora_Sompeng Soyombo Sundanese Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le \
    Tai_Tham Tai_Viet Takri Tamil Tangsa Tangut Telugu Thaana Thai Tibetan Tifinagh Tirhuta Toto Ugaritic Vai \
    Vithkuqi Wancho Warang_Citi Yezidi Yi Zanabazar_Square \
    Garay Gurung_Khema Kirat_Rai Ol_Onal Sunuwar Todhri Tulu_Tigalari Beria_Erfe Sidetic Tolong_Siki";

const ALIASES: &str = "Any Assigned ASCII Cased_Letter Close_Punctuation Combining_Mark Connector_Punctuation Control Currency_Symbol Dash_Punctuation \
    Decimal_Number Enclosing_Mark Final_Punctuation Format Initial_Punctuation Letter Letter_Number Line_Separator \
    Lowercase_Letter Mark Math_Symbol Modifier_Letter Modifier_Symbol Nonspacing_Mark Number Open_Punctuation Other \
    Other_Letter Other_Number Other_Punctuation Other_Symbol Paragraph_Separator Private_Use Punctuation Separator \
    Space_Separator Spacing_Mark Surrogate Symbol Titlecase_Letter Unassigned Uppercase_Letter cntrl digit punct";

const POSIX: &str = "alnum alpha ascii blank cntrl digit graph lower print punct space upper word xdigit";

#[test]
fn perl_and_posix_classes_match_what_they_match_in_go() {
    needs_peers!();
    let alphabet = alphabet();
    let posix = POSIX.split_whitespace().flat_map(|name| [format!("[:{name}:]"), format!("[:^{name}:]")]);
    for class in [r"\d", r"\D", r"\s", r"\S", r"\w", r"\W"].map(String::from).into_iter().chain(posix) {
        for flags in ["", "(?i)"] {
            assert!(same_members(flags, &class, &alphabet), "{class} is a class");
        }
    }
}

#[test]
fn unicode_classes_match_what_they_match_in_go() {
    needs_peers!();
    let alphabet = alphabet();
    let accepted = format!("{CATEGORIES} {SCRIPTS}")
        .split_whitespace()
        .filter(|name| {
            let class = format!(r"\p{{{name}}}");
            let accepted = same_members("", &class, &alphabet);
            assert_eq!(accepted, same_members("(?i)", &class, &alphabet));
            accepted
        })
        .count();
    assert_eq!(accepted, 38 + 117);
}

#[test]
fn other_names_of_unicode_classes_match_what_they_match_in_go() {
    needs_peers!();
    let alphabet: String = alphabet().chars().step_by(7).collect();
    for name in ALIASES.split_whitespace() {
        for class in [format!(r"\p{{{name}}}"), format!(r"\P{{{name}}}"), format!(r"\p{{^{}}}", name.replace('_', " "))]
        {
            for flags in ["", "(?i)"] {
                assert!(same_members(flags, &class, &alphabet), "{class} is a class");
            }
        }
    }
}

#[test]
fn letters_have_the_cases_that_they_have_in_go() {
    needs_peers!();
    let alphabet = alphabet();
    let with_case = Pattern::new(r"[\p{Lu}\p{Ll}\p{Lt}\p{Nl}Ⓐ-ⓩ\x{345}]+").unwrap();
    let (with_case, others) = members(&with_case, &alphabet);
    // Each letter once with all its cases; of everything else, that it has none.
    let mut seen = String::new();
    for letter in with_case.chars() {
        if !seen.contains(letter) {
            assert!(same_members("(?i)", &letter.to_string(), &with_case), "{letter} is a letter");
            let one = Pattern::new(&format!("(?i){letter}")).unwrap();
            seen.push_str(&members(&one, &with_case).0);
        }
    }
    assert!(same_members("(?i)", &ranges(&others), &alphabet));
    assert_eq!(members(&Pattern::new(&format!("(?i)[{}]", ranges(&others))).unwrap(), &alphabet).0, others);
}

/// Letters that are in order, as the inside of a class.
fn ranges(letters: &str) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for letter in letters.chars().map(u32::from) {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == letter => *last = letter,
            _ => ranges.push((letter, letter)),
        }
    }
    let ranges: Vec<String> = ranges.iter().map(|(first, last)| format!(r"\x{{{first:x}}}-\x{{{last:x}}}")).collect();
    ranges.concat()
}

/// Whether Go accepts `[class]`; if so, what it matches of `alphabet` is what our own does.
fn same_members(flags: &str, class: &str, alphabet: &str) -> bool {
    let Ok(one) = Pattern::new(&format!("{flags}[{class}]+")) else {
        return same_as_go(&format!("{flags}[{class}]+"), &[]);
    };
    let (inside, outside) = members(&one, alphabet);
    let texts = [inside.as_bytes(), outside.as_bytes()];
    let accepted = same_as_go(&format!("{flags}^[{class}]*$"), &texts);
    assert!(same_as_go(&format!("{flags}^[^{class}]*$"), &texts));
    // Outside brackets the same class is read elsewhere.
    if class.starts_with('\\') {
        assert!(same_as_go(&format!("{flags}^{class}*$"), &texts));
    }
    accepted
}

/// What of `alphabet` is in the class of which `one` matches one or more, and what is not.
fn members(one: &Pattern, alphabet: &str) -> (String, String) {
    let (mut inside, mut outside) = (String::new(), String::new());
    let mut rest = alphabet;
    while let Some(found) = one.find(rest) {
        outside.push_str(&rest[..found.start]);
        inside.push_str(&rest[found.clone()]);
        rest = &rest[found.end..];
    }
    outside.push_str(rest);
    (inside, outside)
}

/// Every code point but for the insides of the long stretches where all are alike, of which some.
fn alphabet() -> String {
    let alike = [
        0x3400..0x4DBF,
        0x4E00..0x9FFF,
        0xAC00..0xD7A3,
        0xE000..0xF8FF,
        0x17000..0x18CD5,
        0x20000..0xE0000,
        0xE0200..0x10_FFFE,
    ];
    let mut alphabet = String::new();
    for letter in '\0'..=char::MAX {
        let code = u32::from(letter);
        let inside = alike.iter().any(|stretch| stretch.start + 16 < code && code + 16 < stretch.end);
        // What is new in a plane is at its beginning or its end.
        let edge = code % 0x1_0000 < 16 || code % 0x1_0000 > 0xFFEF;
        if !inside || edge || code % 251 == 0 {
            alphabet.push(letter);
        }
    }
    alphabet
}
