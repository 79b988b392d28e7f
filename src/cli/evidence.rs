//! `treasury-bot evidence`: what was kept of services before they were cut off.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use secrecy::ExposeSecret;

use super::config_file::ConfigFile;
use crate::config::Secrets;
use crate::domain::counted;
use crate::store::{Store, Use};
use crate::telemetry::log;

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    file: ConfigFile,
    /// The number of the action, as it stands on the timeline; without it: which there are
    action: Option<i64>,
    /// Write the pieces into this folder; what is there already is not replaced
    #[arg(long, value_name = "FOLDER", requires = "action")]
    out: Option<PathBuf>,
}

pub(super) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    log::start("warn", false);
    let config = options.file.load_with(Secrets::ButSlacks)?;
    let store = Store::open(config.store_url.expose_secret(), Use::Visit).await?;
    let shown = show(&store, options.action, options.out).await;
    store.close().await;
    shown
}

async fn show(
    store: &Store,
    action: Option<i64>,
    out: Option<PathBuf>,
) -> anyhow::Result<ExitCode> {
    let Some(action) = action else {
        let all = store.evidence_list().await?;
        if all.is_empty() {
            println!(
                "No evidence is kept: `isolate SERVICE` keeps some before it cuts a service off"
            );
        }
        for one in all {
            let (action, at) = (one.action, one.at.strftime("%F %T UTC"));
            let pieces = counted(one.pieces, "piece");
            println!("{action:>6}  {at}  {}  {pieces}", one.service);
        }
        return Ok(ExitCode::SUCCESS);
    };
    let pieces = store.evidence(action).await?;
    if pieces.is_empty() {
        bail!(
            "no evidence is kept for action {action}: `treasury-bot evidence` lists what there is"
        );
    }
    if let Some(folder) = &out {
        fs::create_dir_all(folder)
            .with_context(|| format!("{} can't be made", folder.display()))?;
    }
    for piece in pieces {
        if !piece.is_unchanged() {
            bail!(
                "{} of action {action} was changed in the store: its SHA-256 was {} when it was kept",
                piece.name,
                piece.sha256
            );
        }
        let (sha256, bytes) = (&piece.sha256, piece.text.len());
        println!("{sha256}  {}  {bytes} bytes", piece.name);
        if let Some(folder) = &out {
            // The name came from a platform: only its last part may name a file.
            let name = PathBuf::from(&piece.name);
            let Some(name) = name.file_name() else {
                bail!("`{}` is no name of a file", piece.name);
            };
            let path = folder.join(name);
            fs::File::create_new(&path)
                .and_then(|mut file| file.write_all(piece.text.as_bytes()))
                .with_context(|| format!("{} can't be written", path.display()))?;
        }
    }
    println!("Compare the digests with the timeline's entry of kind `evidence`");
    Ok(ExitCode::SUCCESS)
}
