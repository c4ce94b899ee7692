//! Where a PostgreSQL database is and how to reach it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use hypersdk_core::{Error, ErrorKind, Result};
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

/// The parameters that a URL may have.
const PARAMETERS: [&str; 11] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
];

/// Limits that the server keeps, so that nothing waits for ever where this process cannot see it.
const SERVER_LIMITS: [(&str, &str); 3] =
    [("statement_timeout", "25s"), ("lock_timeout", "10s"), ("idle_in_transaction_session_timeout", "5s")];

/// How to reach a PostgreSQL database. Neither `Debug` nor `Display` shows the password.
#[derive(Clone)]
pub struct PostgresOptions {
    connect: PgConnectOptions,
    password: bool,
    warning: Option<String>,
}

impl PostgresOptions {
    /// Reads `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=...`. The password may come from
    /// [`with_password`](Self::with_password), `PGPASSWORD` or `~/.pgpass` instead. A host that is not this
    /// machine is verified in full (`sslmode=verify-full`) unless the URL says otherwise; `host=/DIRECTORY` is
    /// the directory of a socket.
    ///
    /// # Errors
    /// `Invalid` if that is not such a URL; the message does not show it.
    pub fn parse(text: &str) -> Result<PostgresOptions> {
        let wrong = |message: String| Error::new(ErrorKind::Invalid, "read database URL", message);
        let url = Url::parse(text).map_err(|error| wrong(format!("{error}; {SHAPE}")))?;
        if !["postgres", "postgresql"].contains(&url.scheme()) {
            return Err(wrong(SHAPE.to_owned()));
        }
        let mut password = url.password().is_some();
        let mut says_how = false;
        for (key, _) in url.query_pairs() {
            if !PARAMETERS.contains(&key.as_ref()) {
                let known = PARAMETERS.join(", ");
                return Err(wrong(format!("the parameter {key:?} is not one of {known}")));
            }
            password |= key == "password";
            says_how |= key == "sslmode";
        }
        let mut connect =
            PgConnectOptions::from_str(text).map_err(|error| wrong(format!("{error}; {SHAPE}")))?;
        if connect.get_database().is_none() {
            return Err(wrong(format!("it names no database; {SHAPE}")));
        }
        let local = is_local(&connect);
        if !says_how && !local {
            connect = connect.ssl_mode(PgSslMode::VerifyFull);
        }
        let verified = matches!(connect.get_ssl_mode(), PgSslMode::VerifyFull | PgSslMode::VerifyCa);
        let warning = (!local && !verified).then(|| {
            "database_url has a host that is not this machine and does not verify it: whoever is between can read \
             and change every job; use sslmode=verify-full, with sslrootcert=FILE if the authority is your own"
                .to_owned()
        });
        let connect = connect.application_name("hypervisord").options(SERVER_LIMITS);
        Ok(PostgresOptions { connect: connect.disable_statement_logging(), password, warning })
    }

    /// The same with another password.
    #[must_use]
    pub fn with_password(self, password: &str) -> PostgresOptions {
        PostgresOptions { connect: self.connect.password(password), password: true, ..self }
    }

    /// True if a password was given.
    pub fn has_password(&self) -> bool {
        self.password
    }

    /// What a person should know before this is used.
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    pub(super) fn connect_options(&self) -> PgConnectOptions {
        self.connect.clone()
    }
}

const SHAPE: &str = "write postgres://USER@HOST:5432/DATABASE";

fn is_local(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.connect;
        let password = if self.password { ":********" } else { "" };
        let database = options.get_database().unwrap_or_default();
        write!(f, "postgres://{}{password}@", options.get_username())?;
        match options.get_socket() {
            Some(directory) => write!(f, "/{database}?host={}", directory.display()),
            None => write!(f, "{}:{}/{database}", options.get_host(), options.get_port()),
        }
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresOptions({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> PgSslMode {
        PostgresOptions::parse(url).unwrap().connect.get_ssl_mode()
    }

    #[test]
    fn no_password_is_ever_shown() {
        let options = PostgresOptions::parse("postgres://hyper:s3cret%21@db.example.com/jobs").unwrap();
        let shown = format!("{options} {options:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
        assert_eq!(options.to_string(), "postgres://hyper:********@db.example.com:5432/jobs");
        let options = PostgresOptions::parse("postgres://hyper@db/jobs").unwrap().with_password("s3cret");
        assert!(!format!("{options} {options:?}").contains("s3cret"));
        for wrong in
            ["postgres://hyper:s3cret@db", "postgres://a:s3cret@db:99999/x", "postgres://a:s3cret@db/x?ssl=1"]
        {
            let error = PostgresOptions::parse(wrong).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
            assert_eq!(error.kind(), ErrorKind::Invalid);
        }
    }

    #[test]
    fn another_machine_is_verified_unless_the_url_says_otherwise() {
        assert!(matches!(mode("postgres://u@db.example.com/jobs"), PgSslMode::VerifyFull));
        assert!(matches!(mode("postgres://u@db.example.com/jobs?sslmode=require"), PgSslMode::Require));
        assert!(matches!(mode("postgres://u@127.0.0.1/jobs"), PgSslMode::Prefer));
        assert!(matches!(mode("postgres://u@x/jobs?host=/run/postgresql"), PgSslMode::Prefer));
        let warned = |url| PostgresOptions::parse(url).unwrap().warning().is_some();
        assert!(warned("postgres://u@db.example.com/jobs?sslmode=prefer"));
        assert!(!warned("postgres://u@db.example.com/jobs"));
        assert!(!warned("postgres://u@localhost/jobs?sslmode=disable"));
    }
}
