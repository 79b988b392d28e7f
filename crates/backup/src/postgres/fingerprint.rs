//! What a database is, in words and sums that can be compared with what came out of its backup.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sqlx_core::query::query;
use sqlx_core::query_as::query_as;
use sqlx_core::sql_str::AssertSqlSafe;
use sqlx_postgres::PgConnection;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::server::refused;
use crate::{Contents, Fault, Source, Taken};

/// Objects by section (`tables`, `indexes`, …) and name, each with what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    sections: BTreeMap<String, BTreeMap<String, String>>,
    /// All tables together.
    rows: u64,
    /// The server's version, such as 15.
    major: u32,
}

/// What servers of different versions say in different words: there only the names are compared.
const BY_VERSION: [&str; 2] = ["routines", "views"];

impl Fingerprint {
    fn count(&self, section: &str) -> u64 {
        self.sections.get(section).map_or(0, |all| all.len() as u64)
    }

    /// How the database itself was made, by name: `encoding`, `collate`, `owner`, …
    pub(super) fn database(&self) -> BTreeMap<String, String> {
        self.sections.get(DATABASE).cloned().unwrap_or_default()
    }

    /// All tables together.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// In words for people.
    pub(super) fn covers(&self, database: &str) -> String {
        let (tables, objects) = (self.count("tables"), self.count("large objects"));
        let rows = self.rows;
        format!(
            "the database {database}: {tables} tables with {rows} rows, {objects} large objects"
        )
    }
}

/// The relations, routines and types that are people's: not the server's, not an extension's.
const OWN: &str = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT EXISTS (SELECT \
                   FROM pg_depend e WHERE e.deptype = 'e' AND e.objid = ";

/// How the database itself was made.
const DATABASE: &str = "database";

/// Each section with its question: names, and what each thing is. `{own:x}` stands for [`OWN`].
const QUESTIONS: &[(&str, &str)] = &[
    // Under fixed names: a scratch database has another.
    (
        DATABASE,
        "SELECT v.key, v.value FROM pg_database d, LATERAL (VALUES \
         ('encoding', pg_encoding_to_char(d.encoding)::text), ('collate', d.datcollate::text), \
         ('ctype', d.datctype::text), ('provider', to_jsonb(d) ->> 'datlocprovider'), \
         ('locale', coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale')), \
         ('owner', pg_get_userbyid(d.datdba)::text)) v (key, value) \
         WHERE d.datname = current_database() AND v.value IS NOT NULL UNION ALL \
         SELECT format('setting %s of %s', split_part(c, '=', 1), coalesce(r.rolname, 'all')), \
         substr(c, strpos(c, '=') + 1) FROM pg_db_role_setting s LEFT JOIN pg_roles r \
         ON r.oid = s.setrole, unnest(s.setconfig) c WHERE s.setdatabase = (SELECT oid FROM pg_database \
         WHERE datname = current_database())",
    ),
    (
        "columns",
        "SELECT format('%I.%I', n.nspname, c.relname), string_agg(concat_ws(' ', quote_ident(a.attname), \
         format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'not null' END, \
         pg_get_expr(d.adbin, d.adrelid), nullif(a.attidentity, ''), nullif(a.attgenerated, ''), \
         nullif(a.attcollation, t.typcollation)::regcollation), ', ' ORDER BY a.attnum) \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         JOIN pg_type t ON t.oid = a.atttypid \
         LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum \
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND {own:c} GROUP BY 1",
    ),
    (
        "indexes",
        "SELECT format('%I.%I', n.nspname, c.relname), concat_ws(' ', pg_get_indexdef(c.oid), \
         CASE WHEN i.indisclustered THEN 'clustered' END, CASE WHEN i.indisreplident THEN 'identity' END) \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_index i ON i.indexrelid = c.oid WHERE {own:i.indrelid}",
    ),
    (
        "constraints",
        // That a column is not null is one since 18.
        "SELECT format('%I on %s', k.conname, coalesce(nullif(k.conrelid, 0)::regclass::text, \
         k.contypid::regtype::text)), concat_ws(' ', pg_get_constraintdef(k.oid), \
         CASE WHEN NOT k.convalidated THEN 'not valid' END) FROM pg_constraint k \
         JOIN pg_namespace n ON n.oid = k.connamespace WHERE k.contype NOT IN ('n', 't') AND \
         {own:coalesce(nullif(k.conrelid, 0), k.contypid)}",
    ),
    (
        "triggers",
        "SELECT format('%I on %s', t.tgname, t.tgrelid::regclass), t.tgenabled::text || ' ' || \
         pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid \
         JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT t.tgisinternal AND {own:c}",
    ),
    (
        "routines",
        "SELECT p.oid::regprocedure::text, CASE WHEN p.prokind = 'a' THEN 'aggregate' \
         ELSE md5(pg_get_functiondef(p.oid)) END FROM pg_proc p \
         JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {own:p}",
    ),
    (
        "views",
        "SELECT c.oid::regclass::text, md5(pg_get_viewdef(c.oid)) FROM pg_class c \
         JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('v', 'm') AND {own:c}",
    ),
    (
        "policies",
        "SELECT format('%I on %s', p.polname, p.polrelid::regclass), concat_ws(' ', p.polcmd, \
         p.polpermissive, (SELECT string_agg(coalesce(r.rolname, 'public'), ',' ORDER BY r.rolname) \
         FROM unnest(p.polroles) o LEFT JOIN pg_roles r ON r.oid = o), \
         pg_get_expr(p.polqual, p.polrelid), '/', pg_get_expr(p.polwithcheck, p.polrelid)) \
         FROM pg_policy p",
    ),
    (
        "row security",
        "SELECT c.oid::regclass::text, CASE WHEN c.relforcerowsecurity THEN 'forced' ELSE 'on' END \
         FROM pg_class c WHERE c.relrowsecurity",
    ),
    (
        "comments",
        "SELECT concat(i.type, ' ', i.identity), md5(d.description) FROM pg_description d, LATERAL \
         pg_identify_object(d.classoid, d.objoid, d.objsubid) i WHERE d.objoid >= 16384",
    ),
    (
        "extensions",
        "SELECT e.extname::text, concat(e.extversion, ' in ', n.nspname) FROM pg_extension e \
         JOIN pg_namespace n ON n.oid = e.extnamespace",
    ),
    (
        "types",
        "SELECT format('%I.%I', n.nspname, t.typname), concat(t.typtype, ' ', (SELECT \
         string_agg(quote_literal(l.enumlabel), ',' ORDER BY l.enumsortorder) FROM pg_enum l \
         WHERE l.enumtypid = t.oid), nullif(t.typbasetype, 0)::regtype) FROM pg_type t \
         JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype IN ('e', 'd', 'r') AND {own:t}",
    ),
    (
        "owners",
        "SELECT c.oid::regclass::text, pg_get_userbyid(c.relowner)::text FROM pg_class c \
         JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind NOT IN ('i', 'I', 't', 'c') AND \
         {own:c} UNION ALL SELECT p.oid::regprocedure::text, pg_get_userbyid(p.proowner)::text \
         FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {own:p} \
         UNION ALL SELECT 'schema ' || quote_ident(n.nspname), pg_get_userbyid(n.nspowner)::text \
         FROM pg_namespace n WHERE {own:n}",
    ),
    ("grants", GRANTS),
    (
        "roles",
        "SELECT rolname::text, concat_ws(' ', CASE WHEN rolsuper THEN 'superuser' END, \
         CASE WHEN rolinherit THEN 'inherit' END, CASE WHEN rolcreaterole THEN 'createrole' END, \
         CASE WHEN rolcreatedb THEN 'createdb' END, CASE WHEN rolcanlogin THEN 'login' END, \
         CASE WHEN rolreplication THEN 'replication' END, CASE WHEN rolbypassrls THEN 'bypassrls' END, \
         rolconnlimit, rolvaliduntil, (SELECT string_agg('in ' || g.rolname, ' ' ORDER BY g.rolname) \
         FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid)) \
         FROM pg_roles r WHERE rolname !~ '^pg_'",
    ),
    (
        "publications",
        "SELECT p.pubname::text, concat_ws(' ', p.puballtables, (SELECT string_agg(format('%I.%I', \
         t.schemaname, t.tablename), ',' ORDER BY 1) FROM pg_publication_tables t \
         WHERE t.pubname = p.pubname)) FROM pg_publication p",
    ),
    (
        "foreign servers",
        "SELECT s.srvname::text, concat_ws(' ', w.fdwname, md5(s.srvoptions::text), (SELECT string_agg( \
         u.usename::text, ',' ORDER BY u.usename) FROM pg_user_mappings u WHERE u.srvid = s.oid)) \
         FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw",
    ),
];

/// What others than its owner may do with each thing. A right that is the default is one that counts.
const GRANTS: &str = "SELECT g.name, string_agg(concat(coalesce(r.rolname, 'public'), ' ', \
     x.privilege_type, CASE WHEN x.is_grantable THEN '*' END), ', ' ORDER BY r.rolname, x.privilege_type) \
     FROM (SELECT c.oid::regclass::text AS name, c.relowner AS owner, coalesce(c.relacl, \
     acldefault(CASE c.relkind WHEN 'S' THEN 's'::\"char\" ELSE 'r'::\"char\" END, c.relowner)) AS acl \
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND {own:c} \
     UNION ALL SELECT format('%s.%I', a.attrelid::regclass, a.attname), c.relowner, a.attacl \
     FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n \
     ON n.oid = c.relnamespace WHERE a.attacl IS NOT NULL AND NOT a.attisdropped AND {own:c} \
     UNION ALL SELECT 'schema ' || quote_ident(n.nspname), n.nspowner, coalesce(n.nspacl, \
     acldefault('n', n.nspowner)) FROM pg_namespace n WHERE {own:n} \
     UNION ALL SELECT p.oid::regprocedure::text, p.proowner, coalesce(p.proacl, \
     acldefault('f', p.proowner)) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace \
     WHERE {own:p} \
     UNION ALL SELECT format('default %s of %s in %s', d.defaclobjtype, pg_get_userbyid(d.defaclrole), \
     nullif(d.defaclnamespace, 0)::regnamespace), d.defaclrole, d.defaclacl FROM pg_default_acl d) g, \
     LATERAL aclexplode(g.acl) x LEFT JOIN pg_roles r ON r.oid = x.grantee \
     WHERE x.grantee <> g.owner GROUP BY 1";

/// Makes a session see one moment, and say values as every other server would.
pub(super) async fn prepare(session: &mut PgConnection, lock_wait: u128) -> Result<(), Fault> {
    let settings = format!(
        "SET extra_float_digits = 3; SET datestyle = 'ISO'; SET intervalstyle = 'postgres'; \
         SET timezone = 'UTC'; SET bytea_output = 'hex'; SET lc_monetary = 'C'; SET row_security = off; \
         SET xmloption = 'content'; SET statement_timeout = 0; SET lock_timeout = {lock_wait}; \
         SET idle_in_transaction_session_timeout = 0; SET search_path = ''; \
         BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
    );
    for sql in settings.split("; ") {
        let done = query(AssertSqlSafe(sql.to_owned())).execute(&mut *session);
        done.await.map_err(refused)?;
    }
    Ok(())
}

/// Of a session's database, at the moment of its transaction; see [`prepare`].
pub(super) async fn of(session: &mut PgConnection) -> Result<Fingerprint, Fault> {
    let number = "SELECT (current_setting('server_version_num')::int / 10000)::text";
    let number = super::Server::one(session, number).await?;
    let mut found = Fingerprint {
        major: number.parse().unwrap_or_default(),
        ..Fingerprint::default()
    };
    sequences(session, &mut found, "sequences").await?;
    for (section, question) in QUESTIONS {
        let all = pairs(session, &own(question)).await?;
        found.sections.insert((*section).to_owned(), all);
    }
    let tables = own(
        "SELECT c.oid::regclass::text, '' FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND {own:c}",
    );
    let mut tables = pairs(session, &tables).await?;
    for (name, what) in &mut tables {
        let sum = format!(
            "SELECT count(*), coalesce(sum(hashtextextended(treasury_row::text, 0)), 0)::text \
             FROM ONLY {name} AS treasury_row"
        );
        let asked = query_as(AssertSqlSafe(sum)).fetch_one(&mut *session);
        let (rows, sum): (i64, String) = asked.await.map_err(refused)?;
        found.rows += rows.unsigned_abs();
        *what = format!("{rows} rows, sum {sum}");
    }
    found.sections.insert("tables".to_owned(), tables);
    let objects = "SELECT oid::text, concat(pg_get_userbyid(lomowner), ' ', md5(lo_get(oid))) \
                   FROM pg_largeobject_metadata";
    let objects = pairs(session, objects).await?;
    found.sections.insert("large objects".to_owned(), objects);
    Ok(found)
}

/// Where each sequence is. It belongs to no snapshot.
pub(super) async fn sequences(
    session: &mut PgConnection,
    found: &mut Fingerprint,
    section: &str,
) -> Result<(), Fault> {
    let all = own(
        "SELECT c.oid::regclass::text, '' FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind = 'S' AND {own:c}",
    );
    let mut all = pairs(session, &all).await?;
    for (name, what) in &mut all {
        let place = format!("SELECT (last_value::numeric + is_called::int)::text FROM {name}");
        *what = super::Server::one(session, &place).await?;
    }
    found.sections.insert(section.to_owned(), all);
    Ok(())
}

async fn pairs(
    session: &mut PgConnection,
    question: &str,
) -> Result<BTreeMap<String, String>, Fault> {
    let asked = query_as(AssertSqlSafe(question.to_owned())).fetch_all(session);
    let all: Vec<(String, Option<String>)> = asked.await.map_err(refused)?;
    Ok(all
        .into_iter()
        .map(|(name, what)| (name, what.unwrap_or_default()))
        .collect())
}

fn own(question: &str) -> String {
    let mut text = String::new();
    let mut rest = question;
    while let Some((before, after)) = rest.split_once("{own:") {
        let (of, after) = after.split_once('}').unwrap_or((after, ""));
        let oid = if of.contains(['.', '(']) {
            of.to_owned()
        } else {
            format!("{of}.oid")
        };
        text += &format!("{before}{OWN}{oid})");
        rest = after;
    }
    text + rest
}

/// Keeps the fingerprint of a dump until it is stored as a part of the same backup.
#[derive(Clone, Default)]
pub struct Recorded(Arc<Mutex<Option<Fingerprint>>>);

impl Recorded {
    pub(super) fn keep(&self, fingerprint: Fingerprint) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(fingerprint);
    }
}

#[async_trait]
impl Source for Recorded {
    fn extension(&self) -> &'static str {
        "json"
    }

    async fn take(&self, to: &mut (dyn AsyncWrite + Unpin + Send)) -> Result<Taken, Fault> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let kept = kept.ok_or_else(|| Fault::Io(std::io::Error::other("there was no dump")))?;
        let text = serde_json::to_vec(&kept).map_err(std::io::Error::other)?;
        to.write_all(&text).await?;
        Ok(Taken::default())
    }

    async fn read_back(
        &self,
        from: &mut (dyn AsyncRead + Unpin + Send),
    ) -> Result<Contents, Fault> {
        let found = read(from).await?;
        let counts = [
            ("tables", found.count("tables")),
            ("rows", found.rows),
            ("large objects", found.count("large objects")),
        ];
        Ok(Contents {
            counts: counts.map(|(name, count)| (name.to_owned(), count)).into(),
            ..Contents::default()
        })
    }
}

/// Reads what a [`Recorded`] wrote.
pub(super) async fn read(from: &mut (dyn AsyncRead + Unpin + Send)) -> Result<Fingerprint, Fault> {
    let mut text = Vec::new();
    from.read_to_end(&mut text).await?;
    serde_json::from_slice(&text)
        .map_err(|error| Fault::Damaged(format!("the fingerprint can't be read: {error}")))
}

/// What a restored database lacks of the recorded one, or has otherwise, a sentence each.
pub fn differences(recorded: &Fingerprint, restored: &Fingerprint) -> Vec<String> {
    let mut found = Vec::new();
    let nothing = BTreeMap::new();
    let is_same = recorded.major == restored.major;
    for (section, wanted) in &recorded.sections {
        let held = restored.sections.get(section).unwrap_or(&nothing);
        match section.as_str() {
            "sequences" => {
                let later = recorded.sections.get("sequences after");
                let later = later.unwrap_or(&nothing);
                sequences_differ(wanted, later, held, &mut found);
                continue;
            }
            "sequences after" => continue,
            _ => {}
        }
        let exact = is_same || !BY_VERSION.contains(&section.as_str());
        for (name, what) in wanted {
            match held.get(name) {
                None => found.push(format!("{section}: {name} is missing")),
                Some(is) if exact && is != what => {
                    found.push(format!("{section}: {name} is `{is}`, not `{what}`"));
                }
                Some(_) => {}
            }
        }
        // A server has roles of its own.
        let more = held
            .keys()
            .filter(|name| section != "roles" && !wanted.contains_key(*name));
        found.extend(more.map(|name| format!("{section}: {name} was not there")));
    }
    found
}

/// A sequence goes on while it is backed up: what came out lies between before and after.
fn sequences_differ(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
    held: &BTreeMap<String, String>,
    found: &mut Vec<String>,
) {
    let number = |text: &String| text.parse::<i128>().unwrap_or_default();
    for (name, one) in before {
        let ends = (number(one), number(after.get(name).unwrap_or(one)));
        match held.get(name).map(number) {
            None => found.push(format!("sequences: {name} is missing")),
            Some(is) if is < ends.0.min(ends.1) || is > ends.0.max(ends.1) => {
                found.push(format!("sequences: {name} is at {is}, not at {}", ends.0));
            }
            Some(_) => {}
        }
    }
}
