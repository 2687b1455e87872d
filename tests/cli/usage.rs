//! Tests of the argument parser: exit codes, help, completions.

use sealwright::testing::http::write_openapi;

use crate::Home;

#[test]
fn bad_usage_exits_2_and_says_so_on_stderr() {
    let home = Home::new();
    for line in [
        "agnet list",
        "agent",
        "agent lst",
        "agent show",
        "agent create",
        "agent create --name x",
        "agent list --jason",
        "completions tcl",
        "--set nonsense serve",
        "--config",
    ] {
        home.run(&line.split(' ').collect::<Vec<_>>())
            .refused(2, "help");
    }
}

#[test]
fn a_missing_configuration_file_exits_2() {
    Home::new()
        .run(&["agent", "list", "--config", "nowhere.toml"])
        .refused(2, "cannot be read");
}

#[test]
fn help_and_version_go_to_stdout() {
    let home = Home::new();
    for command in [
        &["--help"][..],
        &["agent", "--help"],
        &["agent", "create", "--help"],
        &["help", "token"],
    ] {
        let ran = home.run(command);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{command:?}");
        assert!(ran.stdout.contains("--config <FILE>"), "{command:?}");
    }
    let version = home.run(&["--version"]);
    assert_eq!(
        version.stdout,
        format!("sealwright {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn every_shell_gets_its_completions_whatever_the_configuration() {
    let home = Home::new().with("SEALWRIGHT_NO__SUCH", "x");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ran = home.run(&["completions", shell]);
        assert_eq!(ran.code, 0, "{shell}");
        assert!(ran.stdout.contains("rotate-secret"), "{shell}");
    }
}

#[test]
fn the_openapi_document_names_the_configured_issuer() {
    let home = Home::new().with("SEALWRIGHT_TOKEN__ISSUER", "https://auth.example/tenant");
    let ran = home.run(&["openapi"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_eq!(ran.stdout, write_openapi("https://auth.example/tenant"));
}

#[test]
fn json_is_one_line_of_data_on_stdout_and_nothing_else() {
    let home = Home::new();
    home.make_store();
    for line in [
        "--json scope list",
        "scope --json list",
        "scope list --json",
    ] {
        let ran = home.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(
            (ran.stdout.matches('\n').count(), ran.stderr.as_str()),
            (1, ""),
            "{line}"
        );
        assert!(
            ran.stdout.starts_with("[{") && ran.stdout.ends_with("}]\n"),
            "{line}"
        );
    }
}
