//! Tests of `sealwright agent import`.

use serde_json::{Value, json};

use crate::{Home, Ran, text};

const BCRYPT: &str = "$2b$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01232";
const ARGON2: &str = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI";

fn report(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn json_lines_and_csv_import_the_same_agents_with_their_ids() {
    let json = format!(
        "{{\"clientId\":\"agt_1\",\"name\":\"One\",\"secret\":\"plain secret 1\",\"scopes\":[\"agents:read\"],\"ttl\":300,\"plan\":\"unlimited\"}}\n\
         {{\"clientId\":\"2:b~c\",\"secretHash\":\"{BCRYPT}\",\"scopes\":\"audit:read tokens:read\",\"status\":\"suspended\"}}\n\
         {{\"clientId\":\"three\",\"secretHash\":\"{ARGON2}\",\"redirectUris\":[\"https://a.example/cb\"],\"userIds\":[\"u\"],\"audiences\":[\"x\"],\"rawBasic\":true}}\n"
    );
    let csv = format!(
        "clientId,name,secret,secretHash,scopes,ttl,plan,audiences,redirectUris,userIds,status,rawBasic\n\
         agt_1,One,plain secret 1,,agents:read,300,unlimited,,,,,\n\
         2:b~c,,,{BCRYPT},audit:read tokens:read,,,,,,suspended,false\n\
         three,,,\"{ARGON2}\",,,,x,https://a.example/cb,u,active,true\n"
    );
    let mut shown = Vec::new();
    for (name, content) in [
        ("a.jsonl", &json),
        ("a.csv", &csv),
        ("json", &json),
        ("csv", &csv),
    ] {
        let home = Home::new();
        home.write(name, content);
        let ran = home.run(&["agent", "import", name, "--json"]);
        assert_eq!(
            (ran.code, report(&ran)),
            (
                0,
                json!({"imported": 3, "existing": 0, "refused": 0, "refusals": []})
            ),
            "{ran:?}"
        );
        assert!(
            !home.stores("plain secret 1"),
            "the store holds a secret in clear"
        );
        let mut agents = home.json(&["agent", "list"]);
        for agent in agents.as_array_mut().unwrap() {
            let fields = agent.as_object_mut().unwrap();
            assert!(
                ["createdAt", "updatedAt", "version"]
                    .iter()
                    .all(|name| fields.remove(*name).is_some())
            );
        }
        shown.push(agents);
    }
    assert!(shown.windows(2).all(|pair| pair[0] == pair[1]));
    let field = |i: usize, name: &str| shown[0][i][name].clone();
    assert_eq!(
        [0, 1, 2].map(|i| field(i, "agentId")),
        ["2:b~c", "agt_1", "three"]
    );
    assert_eq!(
        [0, 1, 2].map(|i| field(i, "status")),
        ["suspended", "active", "active"]
    );
    assert_eq!(
        [0, 1, 2].map(|i| field(i, "name")),
        ["2:b~c", "One", "three"]
    );
    assert_eq!(field(1, "ttl"), 300);
    assert_eq!(field(2, "redirectUris"), json!(["https://a.example/cb"]));
}

#[test]
fn each_bad_line_is_refused_with_its_number_and_reason_and_the_others_are_imported() {
    let home = Home::new();
    let dear = BCRYPT.replace("$10$", "$15$");
    let lines = [
        "{\"clientId\":\"good\",\"secret\":\"hunter2 is mine\"}".to_owned(),
        "{\"clientId\":\"bad id\",\"secret\":\"hunter2\"}".to_owned(),
        format!("{{\"clientId\":\"b\",\"secretHash\":\"{dear}\"}}"),
        "{\"clientId\":\"c\",\"secret\":\"hunter2\",\"scopes\":[\"db:read\"]}".to_owned(),
        "{\"clientId\":\"d\",\"secret\":\"hunter2\",\"ttl\":299}".to_owned(),
        "{\"clientId\":\"e\",\"secret\":\"hunter2\",\"plan\":\"gold\"}".to_owned(),
        format!("{{\"clientId\":\"f\",\"secret\":\"hunter2\",\"secretHash\":\"{BCRYPT}\"}}"),
        "{\"clientId\":\"g\"}".to_owned(),
        "{\"clientId\":\"h\",\"secret\":\"hunter2\",\"name\":\"a\\u0007\"}".to_owned(),
        "{\"clientId\":\"i\",\"secret\":\"hunter2\",\"status\":\"decommissioned\"}".to_owned(),
        "{\"clientId\":\"j\",\"secret\":\"hunter2\",\"redirectUris\":[\"http://evil.example/\"]}"
            .to_owned(),
        "{\"clientId\":\"good\",\"secret\":\"hunter2\"}".to_owned(),
        "not json hunter2".to_owned(),
        "{\"clientId\":\"k\",\"secret\":\"hunter2\",\"secret\":\"hunter2\"}".to_owned(),
        format!(
            "{{\"clientId\":\"l\",\"secretHash\":\"{}\"}}",
            ARGON2.replace("m=65536", "m=65537")
        ),
        format!(
            "{{\"clientId\":\"m\",\"secretHash\":\"{}\"}}",
            ARGON2.replace("t=3", "t=11")
        ),
        format!(
            "{{\"clientId\":\"n\",\"secretHash\":\"{}\"}}",
            ARGON2.replace("p=4", "p=5")
        ),
        "{\"clientId\":\"last\",\"secret\":\"hunter2\"}".to_owned(),
    ];
    home.write("a.jsonl", lines.join("\n"));
    let ran = home.run(&["agent", "import", "a.jsonl", "--json"]);
    assert_eq!(ran.code, 1);
    let report = report(&ran);
    assert_eq!(
        (&report["imported"], &report["refused"]),
        (&json!(2), &json!(16))
    );
    let refusals: Vec<(u64, String)> = report["refusals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["line"].as_u64().unwrap(), text(&r["reason"]).to_owned()))
        .collect();
    let expected = [
        "clientId: ",
        "secretHash: ",
        "scopes: ",
        "ttl: ",
        "plan: ",
        "secretHash: ",
        "secret: ",
        "name: ",
        "status: ",
        "redirectUris: ",
        "clientId: it stands on an earlier line",
        "the line is not JSON",
        "secret: the field is repeated",
        "secretHash: the argon2 hash costs more",
        "secretHash: the argon2 hash costs more",
        "secretHash: the argon2 hash costs more",
    ];
    for (i, (line, reason)) in refusals.iter().enumerate() {
        assert!(reason.starts_with(expected[i]), "line {line}: {reason}");
        assert_eq!(*line, u64::try_from(i).unwrap() + 2);
    }
    assert_eq!(report["refusals"][0]["clientId"], json!(null));
    assert_eq!(report["refusals"][1]["clientId"], "b");
    let people = home.run(&["agent", "import", "a.jsonl"]);
    assert!(
        people
            .stderr
            .contains("line 3 (b): secretHash: the bcrypt hash costs more than 14"),
        "{people:?}"
    );
    assert!(
        people
            .stderr
            .contains("imported 0, there already 2, refused 16"),
        "{people:?}"
    );
    assert_eq!((people.code, people.stdout.as_str()), (1, ""));
    assert!(!people.stderr.contains("hunter2") && !ran.stdout.contains("hunter2"));
    assert_eq!(home.json(&["agent", "list"]).as_array().unwrap().len(), 2);
}

#[test]
fn a_second_run_imports_only_what_is_missing_and_changes_nobody() {
    let home = Home::new();
    let line = |i: u32| {
        format!(
            "{{\"clientId\":\"agt_{i}\",\"secretHash\":\"{BCRYPT}\",\"status\":\"suspended\"}}\n"
        )
    };
    let lines = |n: u32| (0..n).map(line).collect::<String>();
    home.write("a.jsonl", lines(150));
    assert_eq!(home.json(&["agent", "import", "a.jsonl"])["imported"], 150);
    home.write("a.jsonl", lines(260));
    let again = home.run(&["agent", "import", "a.jsonl", "--json"]);
    let expected = json!({"imported": 110, "existing": 150, "refused": 0, "refusals": []});
    assert_eq!((again.code, report(&again)), (0, expected));
    // An agent that was changed since the first import stays as it is, and its line is refused. A
    // repeated id and an id with another secret are refused too.
    home.json(&["agent", "reactivate", "agt_7"]);
    home.write(
        "a.jsonl",
        lines(200) + &line(149) + "{\"clientId\":\"agt_200\",\"secret\":\"another\"}\n",
    );
    let last = home.run(&["agent", "import", "a.jsonl", "--json"]);
    assert_eq!(last.code, 1);
    let taken = "clientId: taken by an agent that this line does not describe";
    let refusals = json!([
        {"line": 8, "clientId": "agt_7", "reason": taken},
        {"line": 201, "clientId": "agt_149", "reason": "clientId: it stands on an earlier line"},
        {"line": 202, "clientId": "agt_200", "reason": taken},
    ]);
    assert_eq!(
        report(&last),
        json!({"imported": 0, "existing": 199, "refused": 3, "refusals": refusals})
    );
    assert_eq!(home.json(&["agent", "show", "agt_7"])["status"], "active");
    let raw = line(8).replace('}', ",\"rawBasic\":true}");
    home.write("a.jsonl", raw);
    let refused = home.run(&["agent", "import", "a.jsonl", "--json"]);
    assert_eq!(
        report(&refused)["refusals"],
        json!([{"line": 1, "clientId": "agt_8", "reason": taken}])
    );
}

#[test]
fn a_file_that_cannot_be_read_imports_nobody() {
    let home = Home::new();
    home.run(&["agent", "import", "nowhere.csv"])
        .refused(1, "cannot read nowhere.csv");
    home.write("a.csv", "id,secret\na,b\n");
    home.run(&["agent", "import", "a.csv"])
        .refused(1, "the first line names the columns");
    assert_eq!(home.json(&["agent", "list"]), json!([]));
}

#[test]
fn an_empty_file_imports_nobody_and_succeeds() {
    let home = Home::new();
    for (name, content) in [
        ("a.jsonl", ""),
        ("b.jsonl", "\n\n"),
        ("c.csv", "clientId,secret\n"),
    ] {
        home.write(name, content);
        assert_eq!(
            home.json(&["agent", "import", name])["imported"],
            0,
            "{name}"
        );
    }
}

#[test]
fn a_csv_file_with_spaces_behind_its_commas_never_puts_one_into_a_secret() {
    let home = Home::new();
    home.write(
        "a.csv",
        "clientId, secret, scopes\na,hunter2,  agents:read\nb, hunter2, agents:read\nc,\" hunter2\",agents:read\n",
    );
    let ran = home.run(&["agent", "import", "a.csv", "--json"]);
    let report = report(&ran);
    assert_eq!(
        (ran.code, &report["imported"], &report["refused"]),
        (1, &json!(1), &json!(2))
    );
    for (refusal, line) in [(0, 3), (1, 4)] {
        assert_eq!(report["refusals"][refusal]["line"], line);
        assert!(
            text(&report["refusals"][refusal]["reason"])
                .starts_with("secret: it begins or ends with a space")
        );
    }
    assert!(
        !ran.stdout.contains("hunter2") && !ran.stderr.contains("hunter2"),
        "{ran:?}"
    );
}

#[test]
fn what_is_odd_about_a_line_is_a_warning_that_names_it() {
    let home = Home::new();
    home.write(
        "rows",
        "{\"clientId\":\"good\",\"secret\":\"sixteen chars...\",\"scopes\":[\"agents:read\"]}\n\
         {\"clientId\":\"short\",\"secret\":\"fifteen chars..\",\"scopes\":[\"agents:read\"]}\n\
         {\"clientId\":\"none\",\"secret\":\"sixteen chars...\",\"scopes\":[]}\n\
         {\"clientId\":\"twice\",\"secret\":\"sixteen chars...\",\
          \"scopes\":[\"tokens:read\",\"agents:read\",\"tokens:read\"]}\n",
    );
    home.make_store();
    let ran = home.run(&["agent", "import", "rows"]);
    let told: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(
        told,
        [
            "sealwright: warning: line 2 (short): secret: it has less than 16 characters, rotate it soon",
            "sealwright: warning: line 3 (none): scopes: there are none, so that the agent gets no token",
            "sealwright: warning: line 4 (twice): scopes: tokens:read stands there twice",
            "sealwright: imported 4, there already 0, refused 0",
        ]
    );
    let scopes = &home.json(&["agent", "show", "twice"])["scopes"];
    assert_eq!(*scopes, json!(["tokens:read", "agents:read"]));
    // What is there already is not told again.
    let again = home.run(&["agent", "import", "rows"]);
    assert_eq!(
        again.stderr,
        "sealwright: imported 0, there already 4, refused 0\n"
    );
}
