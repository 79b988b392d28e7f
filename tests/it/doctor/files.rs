//! The bot's own database, its disk, and what else lies in files.

use std::path::PathBuf;
use std::process::Command;

use treasury_bot::store::{Store, Use};

use super::Fault;
use super::world::World;

fn at(world: &World, name: &str) -> PathBuf {
    world.folder.path().join(name)
}

/// Makes the stores that faults are made of.
pub async fn prepare(world: &World) {
    std::fs::create_dir(at(world, "store")).unwrap();
    for (name, change) in [
        (
            "store/newer.db",
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (999, 'of tomorrow', TRUE, x'00', 0)",
        ),
        (
            "store/broken.db",
            "UPDATE _sqlx_migrations SET success = FALSE WHERE version = \
             (SELECT max(version) FROM _sqlx_migrations)",
        ),
    ] {
        let url = format!("sqlite://{}", at(world, name).display());
        Store::open(&url, Use::Visit).await.unwrap().close().await;
        let pool = sqlx::AnyPool::connect(&url).await.unwrap();
        sqlx::query(change).execute(&pool).await.unwrap();
        pool.close().await;
    }
    std::fs::write(at(world, "store/garbage.db"), "no database\n".repeat(1_000)).unwrap();
    let small = at(world, "small");
    std::fs::create_dir(&small).unwrap();
}

pub const FAULTS: &[Fault] = &[
    Fault {
        name: "the store's folder is not there",
        only: "store",
        plant: |_, case| case.edit("/store/bot.db", "/nowhere/bot.db"),
        id: "store.writable",
        state: "failed",
        found: "No such file",
        mend: "folder",
    },
    Fault {
        name: "the store is of a newer version",
        only: "store",
        plant: |_, case| case.edit("/store/bot.db", "/store/newer.db"),
        id: "store.schema",
        state: "failed",
        found: "its schema is 999, newer than this version knows",
        mend: "run the version of the bot that made it",
    },
    Fault {
        name: "a step of the store's schema was not finished",
        only: "store",
        plant: |_, case| case.edit("/store/bot.db", "/store/broken.db"),
        id: "store.schema",
        state: "failed",
        found: "was begun and not finished",
        mend: "backup",
    },
    Fault {
        name: "the store's file is no database",
        only: "store",
        plant: |_, case| case.edit("/store/bot.db", "/store/garbage.db"),
        id: "store.opens",
        state: "failed",
        found: "not a database",
        mend: "[store] url",
    },
    Fault {
        name: "the bot's user may not write the store",
        only: "store",
        plant: |world, case| {
            let own = at(world, "treasury-bot");
            std::fs::copy(env!("CARGO_BIN_EXE_treasury-bot"), own).unwrap();
            case.user = Some(65_534);
        },
        id: "store.writable",
        state: "failed",
        found: "it can't be written",
        mend: "chown",
    },
    Fault {
        name: "the store's server is away",
        only: "store",
        plant: |_, case| case.set("TREASURY_BOT_STORE_URL", "postgres://bot@127.0.0.1:1/bot"),
        id: "store.opens",
        state: "failed",
        found: "Connection refused",
        mend: "is PostgreSQL running",
    },
    Fault {
        name: "the store's disk is nearly full",
        only: "store",
        plant: |world, case| {
            let small = at(world, "small");
            let mount = Command::new("mount")
                .args(["-t", "tmpfs", "-o", "size=2m", "none"])
                .arg(&small)
                .status();
            assert!(mount.unwrap().success(), "mount needs root");
            world.after(|world| {
                let gone = Command::new("umount").arg(at(world, "small")).status();
                assert!(gone.unwrap().success());
            });
            case.edit("/store/bot.db", "/small/bot.db");
        },
        id: "store.disk",
        state: "failed",
        found: "free",
        mend: "make room",
    },
    Fault {
        name: "a runbook of the team's own can't be run",
        only: "config",
        plant: |world, case| {
            let folder = at(world, "runbooks");
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(
                folder.join("own.yml"),
                "name: own\nsteps:\n  - uses: service.restrt\n",
            )
            .unwrap();
            case.config.push_str(&format!(
                "\n[runbooks]\nfolder = \"{}\"\n",
                folder.display()
            ));
        },
        id: "config.runbooks",
        state: "failed",
        found: "service.restrt",
        mend: "treasury-bot runbook check",
    },
];
