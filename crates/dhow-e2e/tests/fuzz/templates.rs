//! Go templates of `--format`.

use dhow_terminal::template::{Template, Value};
use dhow_testkit::fuzz;

#[test]
fn templates_are_refused_or_written() {
    let parentheses = "(".repeat(30_000);
    let deep = format!("{{{{{parentheses}");
    let nested = "{{if .A}}{{range .List}}".repeat(2000);
    let chained = format!("{{{{if .B}}}}{}", "{{else if .B}}".repeat(3000));
    let seeds: [&[u8]; 14] = [
        deep.as_bytes(),
        nested.as_bytes(),
        chained.as_bytes(),
        b"{{define \"a\"}}{{if .}}{{template \"a\" .}}{{end}}{{end}}{{template \"a\" .}}",
        b"{{.Name}}\t{{.State.Status | upper}}",
        b"{{json .}}",
        b"{{range $i, $e := .List}}{{$i}}={{$e}}{{else}}none{{end}}",
        b"{{if and .A (not .B)}}x{{else if eq .N 3}}y{{else with .State}}{{.Status}}{{end}}",
        b"{{with $x := index .List 1}}{{printf \"%-5s|%05d|%q|%v\" $x 3 \"a\" 1.5}}{{end}}",
        b"{{define \"a\"}}{{.}}{{end}}{{template \"a\" .Name}}",
        b"{{- /* note */ -}}{{slice .Name 1 2}}{{len .List}}{{split .Name \",\"}}",
        b"{{range .List}}{{if eq . \"b\"}}{{continue}}{{end}}{{break}}{{end}}",
        b"table {{.ID}}\\t{{truncate .Name 3}}{{pad .Name 2 3}}",
        b"{{block \"b\" .}}{{.N}}{{end}}{{print 0x1F 1e3 'c' `raw` nil true}}",
    ];
    let words: [&[u8]; 12] = [
        b"{{",
        b"}}",
        b"{{end}}",
        b"{{range .List}}",
        b"{{with .}}",
        b"{{template \"a\" .}}",
        b"(",
        b" | ",
        b"%999999999d",
        b"$",
        b".",
        b"{{define \"a\"}}",
    ];
    let data: serde_json::Value = serde_json::json!({
        "Name": "n\u{e4}me,x", "ID": "0123456789abcdef", "A": true, "B": false, "N": 3,
        "List": ["a", "b", {"c": null}], "State": {"Status": "running"}, "F": 1.5
    });
    let data = Value::from(data);
    fuzz::run(10_000, &seeds, &words, |input| {
        let Ok(text) = std::str::from_utf8(input) else {
            return;
        };
        if let Ok(template) = Template::parse("", text) {
            let _ = template.execute(&data);
        }
    });
}
