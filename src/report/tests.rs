use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::timeline::{Draft, GENESIS};
use crate::domain::{
    EntryKind, IncidentId, IncidentRole, Person, ServiceName, Severity, Status, Stream,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).unwrap()
}

fn ana() -> Person {
    Person {
        id: "U0ANA00001".into(),
        name: "ana".into(),
    }
}

fn incident() -> Incident {
    Incident {
        id: IncidentId(7),
        title: "Frontend <b>502</b> | down".into(),
        severity: Severity::Sev2,
        status: Status::Mitigated,
        services: vec![ServiceName::parse("frontend").unwrap()],
        place: None,
        declared_by: ana(),
        assignments: vec![(IncidentRole::Commander, ana())],
        links: vec![IncidentId(3)],
        declared_at: at(0),
        mitigated_at: Some(at(754)),
        resolved_at: None,
    }
}

fn timeline(texts: &[&str]) -> Vec<Entry> {
    let mut prev = GENESIS.to_owned();
    let mut entries = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let draft = Draft::new(&ana(), EntryKind::Note, *text).data(json!({"n": index}));
        let stream = Stream::Incident(IncidentId(7));
        let entry = Entry::seal(stream, index as i64 + 1, &prev, at(index as i64), draft);
        prev.clone_from(&entry.hash);
        entries.push(entry);
    }
    entries
}

#[test]
fn the_reviewer_reads_this() {
    let entries = timeline(&["it's slow", "two\nlines | `x` <script>\n# no head"]);
    insta::assert_snapshot!(export(Format::Markdown, &incident(), &entries, at(900)));
}

#[test]
fn a_spreadsheet_reads_this() {
    let text = export(
        Format::Csv,
        &incident(),
        &timeline(&["=1+1", "a \"b\", c"]),
        at(0),
    );
    let rows: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(
        rows[0],
        "timeline,seq,at,actor_id,actor,kind,text,data,prev,hash"
    );
    assert!(rows[1].contains(",'=1+1,"), "{}", rows[1]);
    assert!(rows[2].contains(r#","a ""b"", c","#), "{}", rows[2]);
}

#[test]
fn file_names_tell_incident_and_day() {
    assert_eq!(
        file_name(Format::Json, IncidentId(7), at(0)),
        "INC-7-2026-11-18.json"
    );
}

#[test]
fn a_cut_tail_and_a_foreign_form_are_found() {
    let good: Value = serde_json::from_str(&export(
        Format::Json,
        &incident(),
        &timeline(&["a", "b"]),
        at(9),
    ))
    .unwrap();
    let with = |edit: &dyn Fn(&mut Value)| {
        let mut bad = good.clone();
        edit(&mut bad);
        let text = serde_json::to_string_pretty(&bad).unwrap();
        verify_export(text.as_bytes()).map_err(|error| error.to_string())
    };
    let no_tail = with(&|v| drop(v["entries"].as_array_mut().unwrap().pop())).unwrap_err();
    assert!(
        no_tail.contains("ends with entry 1 but should end with entry 2"),
        "{no_tail}"
    );
    let form = with(&|v| v["format"] = "other".into()).unwrap_err();
    assert!(form.contains("its form is `other`"), "{form}");
    assert!(
        with(&|v| v["entries"][0]["more"] = 1.into())
            .unwrap_err()
            .contains("unknown field")
    );
    assert!(
        with(&|v| v["incident"]["id"] = 8.into())
            .unwrap_err()
            .contains("belongs to")
    );
}

#[test]
fn what_stands_outside_the_chain_has_to_follow_from_it() {
    let draft = |kind, text: &str, data| Draft::new(&ana(), kind, text).data(data);
    let stream = || Stream::Incident(IncidentId(7));
    let title = incident().title;
    let declared = draft(EntryKind::Declared, &title, json!({"severity": "SEV3"}));
    let first = Entry::seal(stream(), 1, GENESIS, at(0), declared);
    let severity = draft(EntryKind::Severity, "x", json!({"after": "SEV2"}));
    let second = Entry::seal(stream(), 2, &first.hash, at(1), severity);
    let status = draft(EntryKind::Status, "x", json!({"after": "mitigated"}));
    let third = Entry::seal(stream(), 3, &second.hash, at(2), status);
    let good = export(Format::Json, &incident(), &[first, second, third], at(9));
    verify_export(good.as_bytes()).unwrap();
    for (true_, false_, what) in [
        (
            "| down\",\n    \"severity",
            "| up\",\n    \"severity",
            "title",
        ),
        (
            "\"severity\": \"SEV2\",\n    \"status",
            "\"severity\": \"SEV4\",\n    \"status",
            "severity",
        ),
        (
            "\"status\": \"mitigated\"",
            "\"status\": \"resolved\"",
            "status",
        ),
    ] {
        assert!(good.contains(true_), "{what}: {good}");
        let error = verify_export(good.replace(true_, false_).as_bytes()).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
    let added = good.replacen("\"name\": \"ana\"", "\"more\": 1,\n \"name\": \"ana\"", 1);
    assert!(matches!(
        verify_export(added.as_bytes()),
        Err(ExportError::Added)
    ));
}

#[test]
fn a_page_that_shows_something_else_than_its_data_does_not_verify() {
    let entries = timeline(&["it's slow", "<script>alert(1)</script>"]);
    let page = export(Format::Html, &incident(), &entries, at(900));
    assert_eq!(verify_export(page.as_bytes()).unwrap().entries, 2);
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
        "{page}"
    );
    let refused = |page: String| verify_export(page.as_bytes()).unwrap_err().to_string();
    let shown = "what the page shows is not what its data tells";
    assert!(refused(page.replace("it's slow", "it's fast")).starts_with(shown));
    assert!(refused(page.replace("</body>", "<p>more</p></body>")).starts_with(shown));
    assert!(refused(page.replace(">note<", ">status<")).starts_with(shown));
    // Another timeline's data within this page.
    let other = export(Format::Html, &incident(), &timeline(&["other"]), at(900));
    let data = |page: &str| {
        let (_, rest) = page.split_once("base64,").unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    };
    assert!(refused(page.replace(&data(&page), &data(&other))).starts_with(shown));
    let cut = page.replace(&data(&page), "");
    assert!(refused(cut).contains("no whole export"));
    assert!(refused("<!DOCTYPE html><p>hello".to_owned()).contains("without the data"));
}

/// Reads RFC 4180.
fn read_csv(text: &str) -> Vec<Vec<String>> {
    let mut rows = vec![vec![String::new()]];
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let row = rows.last_mut().unwrap();
        match (quoted, c) {
            (true, '"') if chars.peek() == Some(&'"') => {
                chars.next();
                row.last_mut().unwrap().push('"');
            }
            (_, '"') => quoted = !quoted,
            (false, ',') => row.push(String::new()),
            (false, '\r') if chars.peek() == Some(&'\n') => {
                chars.next();
                rows.push(vec![String::new()]);
            }
            (_, c) => row.last_mut().unwrap().push(c),
        }
    }
    rows.pop();
    rows
}

proptest! {
    #[test]
    fn every_text_survives_every_format(texts in prop::collection::vec(any::<String>(), 0..6)) {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let entries = timeline(&texts);

        let json = export(Format::Json, &incident(), &entries, at(0));
        prop_assert_eq!(verify_export(json.as_bytes()).unwrap().entries, texts.len());

        let rows = read_csv(&export(Format::Csv, &incident(), &entries, at(0)));
        prop_assert_eq!(rows.len(), texts.len() + 1);
        for (row, text) in rows[1..].iter().zip(&texts) {
            prop_assert_eq!(row.len(), 10);
            let defused = format!("'{text}");
            prop_assert!(row[6] == *text || row[6] == defused);
        }

        let page = export(Format::Html, &incident(), &entries, at(0));
        prop_assert_eq!(verify_export(page.as_bytes()).unwrap().entries, texts.len());
        prop_assert_eq!(page.matches("<td class=\"text\">").count(), texts.len());
        prop_assert!(!page.contains("<script"));

        let markdown = export(Format::Markdown, &incident(), &entries, at(0));
        let lines = markdown.lines().skip_while(|line| *line != "## Timeline");
        let lines = lines.filter(|line| line.starts_with("| ") && !line.starts_with("| #")).count();
        prop_assert_eq!(lines, texts.len());
        prop_assert!(!markdown.replace("<br>", "").contains('<'));
    }

    #[test]
    fn any_change_of_an_entry_is_found(
        texts in prop::collection::vec("[a-z ]{0,12}", 1..5),
        which in any::<prop::sample::Index>(),
        field in prop::sample::select(vec!["text", "at", "hash", "prev", "kind", "seq", "actor", "data"]),
    ) {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let json = export(Format::Json, &incident(), &timeline(&texts), at(0));
        let mut value: Value = serde_json::from_str(&json).unwrap();
        let entry = &mut value["entries"][which.index(texts.len())];
        entry[field] = match field {
            "at" => "2026-01-01T00:00:00.000000Z".into(),
            "kind" => "status".into(),
            "seq" => 99.into(),
            "actor" => json!({"id": "U1", "name": "eve"}),
            "data" => json!({"n": -1}),
            _ => "0123".into(),
        };
        prop_assert!(verify_export(value.to_string().as_bytes()).is_err());
    }
}

#[test]
fn words_stay_readable_and_no_address_becomes_a_link() {
    let said = "restarted: api:1.9 at 03:00, see https://evil.example or MAILTO:x@evil.example";
    let text = export(Format::Markdown, &incident(), &timeline(&[said]), at(9));
    let row = "restarted: api:1.9 at 03:00, see https\\://evil.example or MAILTO\\:x@evil.example";
    assert!(text.contains(row), "{text}");
    assert!(!text.contains("&#58;"), "{text}");
}
