//! What a drill has to find.

use treasury_backup::postgres::differences;

use super::postgres::{Stage, run};

/// What can be lost, with how it is told.
const LOSSES: [(&str, &str); 10] = [
    (
        "DELETE FROM payments WHERE id = 17",
        "tables: public.payments is `4999 rows",
    ),
    (
        "DROP INDEX payments_by_amount",
        "indexes: public.payments_by_amount is missing",
    ),
    (
        "ALTER TABLE payments DROP CONSTRAINT payments_amount_check",
        "constraints: payments_amount_check on public.payments is missing",
    ),
    (
        "SELECT setval('invoices', 7)",
        "sequences: public.invoices is at 8, not at 1001",
    ),
    (
        "REVOKE SELECT ON payments FROM auditors",
        "grants: public.payments is missing",
    ),
    (
        "DROP EXTENSION hstore CASCADE",
        "extensions: hstore is missing",
    ),
    (
        "SELECT lo_put(4711, 9, 'x')",
        "large objects: 4711 is `treasury ",
    ),
    (
        "COMMENT ON COLUMN payments.amount IS NULL",
        "comments: table column public.payments.amount is missing",
    ),
    (
        "DROP POLICY own ON payments",
        "policies: own on public.payments is missing",
    ),
    ("DROP ROLE reader", "roles: reader is missing"),
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, its version 18 of npm"]
async fn each_planted_loss_is_found() {
    for version in [None, Some(18)] {
        let stage = Stage::start(version).await;
        let whole = stage.fingerprint("treasury").await;
        assert_eq!(differences(&whole, &whole), Vec::<String>::new());
        for (loss, told) in LOSSES {
            run(
                &stage.postgres.url(),
                &["CREATE DATABASE lost TEMPLATE treasury"],
            )
            .await;
            run(&stage.postgres.url_of("treasury", "lost"), &[loss]).await;
            let found = differences(&whole, &stage.fingerprint("lost").await);
            assert!(
                found.iter().any(|one| one.starts_with(told)),
                "{loss}: {found:?}"
            );
            run(&stage.postgres.url(), &["DROP DATABASE lost"]).await;
        }
    }
}
