//! The lists that come with the bot, as the team's handbook has them.

use serde_json::Value;

/// A list: its name, and its phases with their boxes. A box may name the probe that tells.
pub(super) type List = (&'static str, &'static [(&'static str, &'static [Item])]);
type Item = (&'static str, Option<&'static str>);

/// All replicas of the service are well.
const STATUS: &str = "service.status";
/// All addresses of the service are up.
const ADDRESSES: &str = "http.check_service";

pub(super) const LISTS: &[List] = &[(
    "deploy",
    &[
        (
            "Pre-deployment",
            &[
                ("Code review completed", None),
                ("Tests passing", None),
                ("Security scan clean", None),
                ("Database migrations ready", None),
                ("Environment variables set", None),
            ],
        ),
        (
            "Deployment process",
            &[
                ("Deploy to staging first", None),
                ("Run integration tests", None),
                ("Deploy to production", None),
                ("Verify health checks", Some(STATUS)),
                ("Monitor for issues", None),
            ],
        ),
        (
            "Post-deployment",
            &[
                ("Verify application functionality", Some(ADDRESSES)),
                ("Check monitoring dashboards", None),
                ("Update documentation", None),
                ("Notify stakeholders", None),
            ],
        ),
    ],
)];

/// Whether what a probe found says that its box is so; `None`: it does not tell.
pub(super) fn holds(probe: &str, found: &Value) -> Option<bool> {
    match probe {
        STATUS => found["well"].as_bool(),
        ADDRESSES => {
            let count = |key: &str| found[key].as_u64();
            let (up, down) = (count("up")?, count("down")?);
            let unknown = count("unknown")? + count("refused")? + count("left_out")?;
            match (up, down, unknown) {
                (_, 1.., _) => Some(false),
                (1.., 0, 0) => Some(true),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_box_is_ticked_only_by_what_was_seen_to_be_so() {
        assert_eq!(holds(STATUS, &json!({"well": true})), Some(true));
        assert_eq!(holds(STATUS, &json!({"well": false})), Some(false));
        assert_eq!(holds(STATUS, &json!({})), None);
        let web = |up: u64, down: u64, unknown: u64| {
            let found =
                json!({"up": up, "down": down, "unknown": unknown, "refused": 0, "left_out": 0});
            holds(ADDRESSES, &found)
        };
        assert_eq!(web(2, 0, 0), Some(true));
        assert_eq!(web(2, 1, 1), Some(false));
        assert_eq!(web(2, 0, 1), None);
        assert_eq!(web(0, 0, 0), None);
        assert_eq!(holds("db.summary", &json!({"well": true})), None);
    }
}
