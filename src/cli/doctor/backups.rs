//! `[[backup]]`: whether one could be taken, and read back. Nothing is written.

use super::finding::{Check, Fault, Finding, Group, Limit};
use crate::backup;
use crate::bot::BackupPlan;

const BACKUP: Check = Check {
    id: "databases.backup",
    group: Group::Databases,
    asks: "Is there a pg_dump that fits the server of each backup, can the keys be read, does the place of backups answer?",
    mend: "install postgresql-client of the server's version or name its folder in `programs`; correct `to` and `identity_file` of the `[[backup]]`",
};
pub(super) const CHECKS: &[Check] = &[BACKUP];

impl From<backup::Fault> for Fault {
    fn from(fault: backup::Fault) -> Self {
        Self {
            what: fault.to_string(),
            hint: None,
        }
    }
}

/// Looks at one.
pub(super) async fn look(plan: BackupPlan, limit: Limit) -> Vec<Finding> {
    let name = format!("backup {}", plan.name);
    let looked = async {
        let fits = plan.server()?.fits().await?;
        plan.keys()?;
        plan.to.list().await?;
        Ok::<_, backup::Fault>(fits)
    };
    let found = match limit.ask(looked).await {
        Ok(fits) if plan.recipient.is_none() => {
            let what = format!("{fits}; it is not encrypted");
            BACKUP
                .warning(&name, what)
                .by("add the `recipient` that age-keygen prints")
        }
        Ok(fits) if plan.identity_file.is_none() => {
            let what = format!("{fits}; without `identity_file` no block can be read back");
            BACKUP
                .warning(&name, what)
                .by("add `identity_file`, or read backups back elsewhere")
        }
        Ok(fits) => BACKUP.ok(&name, fits),
        Err(fault) => BACKUP.broken(&name, fault),
    };
    vec![found]
}
