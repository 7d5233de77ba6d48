//! Templates that are made to break what executes them.

use std::time::{Duration, Instant};

use bulla_template::{Limit, Limits, Options, Reason, Stage, Template, TemplateError, Value};

fn run(template: &str) -> Result<Vec<u8>, TemplateError> {
    Ok(Template::parse("t", template.as_bytes(), Options::external_secrets())?.execute(&Value::Nil)?.to_vec())
}

fn limit(template: &str) -> Limit {
    let started = Instant::now();
    let error = run(template).expect_err("it is more than is allowed");
    assert!(started.elapsed() < Duration::from_secs(20), "it took {:?}", started.elapsed());
    match error.reason {
        Reason::Limit(limit) => limit,
        reason => panic!("{reason}"),
    }
}

#[test]
fn loops_end() {
    assert_eq!(limit("{{range 1000000000000}}{{end}}"), Limit::Steps);
    assert_eq!(limit("{{range 10000}}{{range 10000}}{{end}}{{end}}"), Limit::Steps);
}

#[test]
fn output_is_bounded() {
    assert_eq!(limit(r#"{{range 100000}}{{printf "%1000d" 1}}{{end}}"#), Limit::Output);
}

#[test]
fn memory_is_bounded() {
    assert_eq!(limit(r#"{{$x := "0123456789"}}{{range 100}}{{$x = print $x $x}}{{end}}"#), Limit::Memory);
    assert_eq!(limit(r#"{{range 1000}}{{$x := printf "%1000000d" 1}}{{end}}"#), Limit::Memory);
}

#[test]
fn templates_that_call_themselves_end() {
    assert_eq!(limit(r#"{{template "t" .}}"#), Limit::Depth);
    assert_eq!(
        limit(r#"{{define "a"}}{{template "b"}}{{end}}{{define "b"}}{{template "a"}}{{end}}{{template "a"}}"#),
        Limit::Depth
    );
}

#[test]
fn nesting_is_bounded() {
    for (before, inside, after) in [
        ("{{", "(", "1"),
        ("", "{{if true}}", ""),
        ("", "{{range 1}}", ""),
        ("", "{{with 1}}", ""),
        ("", r#"{{block "b" .}}"#, ""),
    ] {
        assert_eq!(limit(&format!("{before}{}{after}", inside.repeat(50_000))), Limit::Depth, "{inside}");
    }
}

#[test]
fn what_is_within_the_limits_fits_on_a_small_stack() {
    let depth = Limits::default().depth;
    let nested = |open: &str, close: &str, count: usize| format!("{}{}", open.repeat(count), close.repeat(count));
    let templates = [
        nested("{{if true}}", "{{end}}", depth),
        nested("{{range 1}}", "{{end}}", depth),
        format!("{{{{{}}}}}", nested("(", ")", depth).replace("()", "(1)")),
        format!("{{{{{}}}}}", nested("(print ", ")", depth / 2 - 1)),
        // Values as deep as they may be, in actions as deep as they may be.
        format!(
            "{}{{{{ $l := list }}}}{{{{ range {} }}}}{{{{ $l = list $l }}}}{{{{ end }}}}{{{{ toJson $l }}}}{{{{ $l }}}}{}",
            "{{if true}}".repeat(depth - 2),
            depth - 1,
            "{{end}}".repeat(depth - 2),
        ),
    ];
    let run_all = move || templates.iter().map(|template| run(template).map(drop)).collect::<Vec<_>>();
    let results = std::thread::Builder::new().stack_size(1 << 20).spawn(run_all).unwrap().join().unwrap();
    for (place, result) in results.iter().enumerate() {
        assert!(result.is_ok(), "{place}: {result:?}");
    }
}

#[test]
fn long_chains_take_no_stack() {
    let chain = "{{else if false}}".repeat(20_000);
    assert_eq!(run(&format!("{{{{if false}}}}{chain}{{{{else}}}}end{{{{end}}}}")).unwrap(), b"end");
    let pipes = "| print ".repeat(20_000);
    assert_eq!(run(&format!("{{{{1 {pipes}}}}}")).unwrap(), b"1");
}

#[test]
fn templates_have_a_largest_size() {
    assert_eq!(limit(&" ".repeat((1 << 20) + 1)), Limit::Template);
    run(&" ".repeat(1 << 20)).unwrap();
}

#[test]
fn errors_name_the_place_and_show_no_data() {
    let data = Value::Strings([("key".to_owned(), b"hunter2".to_vec().into())].into());
    for (template, message) in [
        ("a\n{{ .kye }}", "line 2, column 4: there is no key `kye`"),
        (
            "{{ index .key .key }}",
            "line 1, column 4: `index`: an argument should be of type int, and is of type string",
        ),
        ("{{ .key.x }}", "line 1, column 8: cannot look for the key `x` in a value of type string"),
        ("{{ eq .key 1 }}", "line 1, column 4: `eq`: an argument should be of type string, and is of type int"),
        ("{{ len }}", "line 1, column 4: `len`: takes 1 argument, not 0"),
        ("{{ if .key }}", "line 1, column 14: an `end` is missing"),
        ("{{ nosuch }}", "line 1, column 4: there is no function `nosuch`"),
        ("{{ \"hunter2 }}", "line 1, column 4: a string that does not end"),
    ] {
        let parsed = Template::parse("t", template.as_bytes(), Options::external_secrets());
        let error = parsed.and_then(|parsed| parsed.execute(&data)).unwrap_err();
        assert_eq!(error.to_string(), message, "{template}");
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}

#[test]
fn what_reads_the_outside_is_refused_by_name() {
    for (template, message) in [
        ("{{ now }}", "line 1, column 4: the function `now` is not available: it reads the clock"),
        (
            "{{ randAlphaNum 5 }}",
            "line 1, column 4: the function `randAlphaNum` is not available: it draws random numbers",
        ),
        ("{{ env `HOME` }}", "line 1, column 4: the function `env` is not available: it reads the environment"),
        (
            "{{ getHostByName `a` }}",
            "line 1, column 4: the function `getHostByName` is not available: it asks the network",
        ),
    ] {
        // Also where it would not be called.
        assert_eq!(run(&format!("{template}{{{{if false}}}}{template}{{{{end}}}}")).unwrap_err().to_string(), message);
    }
}

#[test]
fn a_message_of_the_template_is_not_shown() {
    let error = run("{{ fail `hunter2` }}").unwrap_err();
    assert_eq!(error.to_string(), "line 1, column 4: `fail`: the template calls it to end");
}

#[test]
fn a_map_that_contains_itself_ends() {
    let cycle = "{{ $d := dict }}{{ $_ := set $d `d` $d }}";
    for use_of_it in [
        "{{ $d }}",
        "{{ toJson $d }}",
        "{{ deepCopy $d }}",
        "{{ deepEqual $d (dict `d` $d) }}",
        "{{ printf `%#v` $d }}",
    ] {
        assert_eq!(limit(&format!("{cycle}{use_of_it}")), Limit::Depth, "{use_of_it}");
    }
    assert_eq!(run(&format!("{cycle}{{{{ len $d.d.d.d }}}}")).unwrap(), b"1");
}

#[test]
fn values_in_values_are_bounded() {
    // Deep by a loop: no stack is used until somebody goes through it.
    assert_eq!(limit("{{ $l := list }}{{ range 50000 }}{{ $l = list $l }}{{ end }}{{ $l }}"), Limit::Depth);
    run("{{ $l := list }}{{ range 50000 }}{{ $l = list $l }}{{ end }}").unwrap();
    // The same list twice in each: written out it would not end.
    assert_eq!(
        limit("{{ $l := list }}{{ range 60 }}{{ $l = list $l $l }}{{ end }}{{ $l | len }}{{ $l }}"),
        Limit::Steps
    );
    assert_eq!(limit(&format!("{{{{ fromJson `{}` }}}}", "[".repeat(100_000))), Limit::Depth);
}

#[test]
fn functions_take_no_more_than_they_may() {
    for (template, expected) in [
        ("{{ repeat 100000000000 `a` }}", Limit::Memory),
        ("{{ repeat 9223372036854775807 `aa` }}", Limit::Memory),
        ("{{ indent 1000000000000 `a` }}", Limit::Memory),
        ("{{ indent 60000 (repeat 2000 `\n`) }}", Limit::Memory),
        ("{{ replace `` (repeat 60000 `a`) (repeat 60000 `b`) }}", Limit::Memory),
        ("{{ join (repeat 60000 `a`) (until 60000) }}", Limit::Memory),
        ("{{ until 1000000000 }}", Limit::Memory),
        ("{{ seq 0 1 9223372036854775806 }}", Limit::Memory),
        ("{{ regexReplaceAll `a` (repeat 60000 `a`) (repeat 60000 `b`) }}", Limit::Memory),
        ("{{ regexFindAll `a.*b|a` (repeat 1000000 `a`) -1 }}", Limit::Steps),
        (
            "{{ $a := repeat 60000 `a` }}{{ range 1000 }}{{ regexMatch `(?:a?){1000}a{1000}b` $a }}{{ end }}",
            Limit::Steps,
        ),
        (
            "{{ $a := repeat 60000 `ab1c` }}{{ range 1000 }}{{ regexMatch `^(?:.{0,30}){0,30}[bc]\\d$` $a }}{{ end }}",
            Limit::Steps,
        ),
        (
            "{{ range 1000 }}{{ $_ := regexReplaceAll `((a)(b)?){0,100}(\\pL){0,10}\\d` (repeat 60000 `ab`) `$1` }}{{ end }}",
            Limit::Memory,
        ),
        ("{{ range 100000 }}{{ regexMatch `a{1000}` `a` }}{{ end }}", Limit::Steps),
        ("{{ range 1000 }}{{ regexMatch `(?:\\pL?){300}x` (repeat 10000 `a`) }}{{ end }}", Limit::Steps),
        ("{{ range 1000 }}{{ regexMatch `(?:\\pL?){300}x` `a` }}{{ end }}", Limit::Steps),
        ("{{ range 1000 }}{{ regexReplaceAll `((\\pL)?){300}x` `a` `$1` }}{{ end }}", Limit::Steps),
        // Too large is no false.
        ("{{ range 1000 }}{{ regexMatch `\\pL{1000}` `a` }}{{ end }}", Limit::Memory),
        ("{{ uniq (until 10000) }}", Limit::Steps),
        ("{{ range 1000000 }}{{ contains `b` (repeat 10000 `a`) }}{{ end }}", Limit::Memory),
        ("{{ $a := repeat 1000000 `a` }}{{ range 100000 }}{{ contains `aab` $a }}{{ end }}", Limit::Steps),
        (
            "{{ $a := repeat 1000000 `a` }}{{ $b := print $a `b` | trunc -500000 }}{{ range 100000 }}{{ contains $b $a }}{{ end }}",
            Limit::Steps,
        ),
        ("{{ $a := repeat 1000000 `a` }}{{ range 100000 }}{{ eq $a (print $a) }}{{ end }}", Limit::Steps),
        ("{{ $d := dict }}{{ range 1000000 }}{{ $_ := set $d (toString .) . }}{{ end }}", Limit::Memory),
    ] {
        let limit = limit(template);
        assert!(limit == expected || limit == Limit::Steps, "{template}: {limit:?}");
    }
}

#[test]
fn the_stage_tells_what_fails_always_from_what_fails_with_this_data() {
    assert_eq!(run("{{").unwrap_err().stage, Stage::Parse);
    assert_eq!(run("{{ index nil 1 }}").unwrap_err().stage, Stage::Execute);
}
