//! Where the database is.

use hypersdk_store::{DatabaseLocation, PostgresOptions};
use secrecy::ExposeSecret;

use super::environment::Environment;
use super::mistake::Mistake;
use super::read::{Reader, Values, path};
use super::secret;

/// The keys of the password, and the systemd credential it may come from instead.
const PASSWORD: secret::Names = secret::Names {
    direct: "database_password",
    file: "database_password_file",
    credential: "hypersdk.database_password",
};

/// Reads `database_url`, or else `database_path`. The password of a PostgreSQL account may stand in the URL or in
/// keys of its own.
pub(super) fn read(reader: &mut Reader<'_>, top: &Values, environment: &Environment) -> DatabaseLocation {
    let path = DatabaseLocation::Sqlite(reader.value(top, "database_path", path));
    let Some(text) = reader.text(top, "database_url") else {
        forbid_password(reader, top, "has no effect without a postgres: URL in database_url");
        return path;
    };
    let (key, origin) = (text.path.clone(), text.origin.clone());
    let Some(url) = secret::expand(reader, text, environment) else { return path };
    let url = url.expose_secret();
    if url.starts_with("postgres:") || url.starts_with("postgresql:") {
        return match PostgresOptions::parse(url) {
            Ok(options) => {
                DatabaseLocation::Postgres(Box::new(with_password(reader, top, environment, options)))
            }
            Err(error) => {
                reader.mistakes.push(Mistake::new(key, origin, error.message()));
                path
            }
        };
    }
    forbid_password(reader, top, "has no effect with a SQLite file");
    match sqlite(url) {
        Ok(location) => location,
        Err(message) => {
            reader.mistakes.push(Mistake::new(key, origin, message));
            path
        }
    }
}

fn sqlite(url: &str) -> Result<DatabaseLocation, &'static str> {
    let rest =
        url.strip_prefix("sqlite:").ok_or("expected sqlite:/path or postgres://user@host:5432/database")?;
    let file = rest.strip_prefix("//").unwrap_or(rest);
    if file.is_empty() || file.contains(['?', '#']) || file == ":memory:" {
        return Err("write sqlite:/absolute/path or sqlite:relative/path, and nothing after it");
    }
    Ok(DatabaseLocation::Sqlite(file.into()))
}

fn with_password(
    reader: &mut Reader<'_>,
    top: &Values,
    environment: &Environment,
    options: PostgresOptions,
) -> PostgresOptions {
    let set = [PASSWORD.direct, PASSWORD.file].into_iter().find(|key| reader.is_set(top, key));
    if let (Some(key), true) = (set, options.has_password()) {
        reader.mistake(top, key, "give the password here or in database_url, not in both");
        return options;
    }
    if let Some(warning) = options.warning() {
        let origin = reader.origin(top, "database_url");
        reader.warnings.push(format!("{origin}{warning}"));
    }
    match secret::secret(reader, top, environment, &PASSWORD) {
        Some(password) => options.with_password(password.expose_secret()),
        None => options,
    }
}

fn forbid_password(reader: &mut Reader<'_>, top: &Values, why: &str) {
    for key in [PASSWORD.direct, PASSWORD.file] {
        if reader.is_set(top, key) {
            reader.mistake(top, key, why);
        }
    }
}
