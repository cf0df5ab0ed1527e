#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;
use serde_json::json;

fn run(text: &str) -> Result<String, Error> {
    let data = json!({
        "Name": "web", "N": 3, "F": 1.5, "Yes": true, "No": false, "Nothing": null,
        "List": ["a", "b", "c"], "Empty": [],
        "Map": {"x": "1", "y": "2"}, "Nested": {"Deep": {"Er": "here"}},
        "Rows": [{"Id": 1}, {"Id": 2}],
    });
    Template::parse("", text)?.execute(&data.into())
}

const GIVES: &[(&str, &str)] = &[
    ("plain", "plain"),
    ("{{.Name}}", "web"),
    (
        "{{ .N }} {{.F}} {{.Yes}} {{.Nothing}} {{.Missing}}",
        "3 1.5 true <no value> <no value>",
    ),
    ("{{.List}} {{.Map}} {{.Empty}}", "[a b c] map[x:1 y:2] []"),
    ("{{.Nested.Deep.Er}}", "here"),
    ("{{range .List}}{{.}},{{end}}", "a,b,c,"),
    (
        "{{range $i, $e := .List}}{{$i}}={{$e}};{{end}}",
        "0=a;1=b;2=c;",
    ),
    ("{{range $k, $v := .Map}}{{$k}}{{$v}} {{end}}", "x1 y2 "),
    ("{{range .Empty}}x{{else}}none{{end}}", "none"),
    ("{{range .Rows}}{{.Id}}{{$.Name}} {{end}}", "1web 2web "),
    (
        "{{range .List}}{{if eq . \"b\"}}{{break}}{{end}}{{.}}{{end}}",
        "a",
    ),
    (
        "{{range .List}}{{if eq . \"b\"}}{{continue}}{{end}}{{.}}{{end}}",
        "ac",
    ),
    (
        "{{if .Yes}}y{{else}}n{{end}}{{if .No}}y{{else if .N}}m{{else}}n{{end}}",
        "ym",
    ),
    (
        "{{with .Nested}}{{.Deep.Er}}{{end}}{{with .No}}x{{else}}-{{end}}",
        "here-",
    ),
    ("{{$x := .N}}{{$x}}{{$x = 5}}{{$x}}", "35"),
    ("a {{- .N -}} b", "a3b"),
    ("a{{/* note */}}b{{- /* note */ -}} c", "abc"),
    (
        "{{.List | len}} {{len .Name}} {{index .List 1}} {{index .Map \"y\"}}",
        "3 3 b 2",
    ),
    ("[{{index .Map \"z\"}}]", "[]"),
    (
        "{{eq .N 3}} {{ne .Name \"x\"}} {{lt 1 2}} {{ge 1 2}} {{not .No}}",
        "true true true false true",
    ),
    (
        "{{and .Yes .N}} {{or .No .Name}} {{or .No .Empty}}",
        "3 web []",
    ),
    ("{{eq .Name \"db\" \"web\"}}", "true"),
    (
        "{{json .Map}} {{json .List}} {{json .Name}}",
        r#"{"x":"1","y":"2"} ["a","b","c"] "web""#,
    ),
    ("{{json \"<&>\"}}", "\"<&>\""),
    (
        "{{join .List \", \"}} {{split \"a:b\" \":\"}}",
        "a, b, c [a b]",
    ),
    (
        "{{upper .Name}} {{lower \"ABC\"}} {{title \"two words\"}}",
        "WEB abc Two Words",
    ),
    ("{{pad .Name 1 2}}| {{truncate .Name 2}}", " web  | we"),
    (
        "{{printf \"%-5s|%5d|%q|%v|%05d|%.2f\" .Name .N .Name .List 42 .F}}",
        "web  |    3|\"web\"|[a b c]|00042|1.50",
    ),
    ("{{print 1 2 \"a\" 3}} {{println .Name}}", "1 2a3 web\n"),
    ("{{(index .Rows 1).Id}}", "2"),
    ("{{\"a\\tb\"}}{{`raw\\n`}}", "a\tbraw\\n"),
    ("{{slice .Name 1}} {{slice .List 0 2}}", "eb [a b]"),
    (
        "{{define \"T\"}}<{{.}}>{{end}}{{template \"T\" .Name}}",
        "<web>",
    ),
    ("{{0x10}} {{1e3}} {{'a'}} {{-3}}", "16 1000 97 -3"),
    (
        "{{html \"<a>\"}} {{urlquery \"a b&c\"}}",
        "&lt;a&gt; a+b%26c",
    ),
    ("{{range 3}}{{.}}{{end}}", "012"),
];

#[test]
fn templates_give_what_go_gives() {
    for (template, expected) in GIVES {
        assert_eq!(run(template).as_deref(), Ok(*expected), "{template}");
    }
}

#[test]
fn errors_have_gos_texts() {
    for (template, expected) in [
        ("{{.ID", "template: :1: unclosed action"),
        ("{{foo .ID}}", "template: :1: function \"foo\" not defined"),
        ("{{if .Yes}}", "template: :1: unexpected EOF"),
        ("{{end}}", "template: :1: unexpected {{end}}"),
        ("{{}}", "template: :1: missing value for command"),
        ("x\n{{$y}}", "template: :2: undefined variable \"$y\""),
        ("{{\"a}}", "template: :1: unterminated quoted string"),
        (
            "{{.Name.Foo}}",
            "template: :1:7: executing \"\" at <.Name.Foo>: can't evaluate field Foo in type string",
        ),
        (
            "{{.Nothing.Foo}}",
            "template: :1:10: executing \"\" at <.Nothing.Foo>: nil pointer evaluating interface {}.Foo",
        ),
        (
            "{{index .List 7}}",
            "template: :1:2: executing \"\" at <index .List 7>: error calling index: index out of range: 7",
        ),
        (
            "{{range .Name}}{{end}}",
            "template: :1:8: executing \"\" at <.Name>: range can't iterate over web",
        ),
        (
            "{{len .N}}",
            "template: :1:2: executing \"\" at <len .N>: error calling len: len of type int",
        ),
        (
            "{{upper 5}}",
            "template: :1:8: executing \"\" at <5>: expected string; found 5",
        ),
        (
            "{{upper .N}}",
            "template: :1:8: executing \"\" at <.N>: wrong type for value; expected string; got int",
        ),
        (
            "{{template \"x\"}}",
            "template: :1:11: executing \"\" at <{{template \"x\"}}>: template \"x\" not defined",
        ),
        (
            "{{upper}}",
            "template: :1:2: executing \"\" at <upper>: wrong number of args for upper: want 1 got 0",
        ),
    ] {
        assert_eq!(
            run(template).unwrap_err().to_string(),
            expected,
            "{template}"
        );
    }
}

#[test]
fn a_missing_key_is_an_error_when_asked_for() {
    let template = Template::parse("", "{{.State.Foo}}")
        .unwrap()
        .missing_key_is_an_error();
    assert_eq!(
        template
            .execute(&json!({"State": {}}).into())
            .unwrap_err()
            .to_string(),
        "template: :1:8: executing \"\" at <.State.Foo>: map has no entry for key \"Foo\""
    );
}

#[test]
fn headers_pass_through_the_functions_that_change_texts() {
    let template = Template::parse("", "{{upper .Name}}\t{{truncate .Name 1}}")
        .unwrap()
        .for_header();
    assert_eq!(
        template.execute(&json!({"Name": "Name"}).into()).as_deref(),
        Ok("Name\tName")
    );
}
