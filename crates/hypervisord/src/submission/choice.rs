//! Which connection a job is for, when the job does not say.

use futures::future::join_all;
use hypersdk_core::{Error, ErrorKind, NamedProvider, ProviderName, ProviderRegistry, VmSelector, VmSummary};

use super::Fault;

/// The connection that is asked first, and alone if it has the VM.
const DEFAULT: &str = "default";

/// The connection that `asked` names, or else the one that has the VM: `default` if it has it, else the only
/// one of all that has it.
///
/// # Errors
/// No connection has the VM, several have it, or one that might have it cannot be asked.
pub(super) async fn source(
    providers: &ProviderRegistry,
    asked: Option<&ProviderName>,
    vm: &VmSelector,
) -> Result<(NamedProvider, Vec<VmSummary>), Fault> {
    let all: Vec<NamedProvider> = providers.instances().collect();
    if asked.is_some() || all.len() < 2 {
        let source = providers.get(asked).map_err(|error| Fault::new("provider", error))?;
        let found = look_up(&source, vm).await.map_err(|error| Fault::new("vm_path", error))?;
        if found.is_empty() {
            return Err(not_found(vm, &[source]));
        }
        return Ok((source, found));
    }
    let (default, others): (Vec<NamedProvider>, Vec<NamedProvider>) =
        all.iter().cloned().partition(|instance| instance.name.as_str() == DEFAULT);
    for first in default {
        let found = look_up(&first, vm).await.map_err(|error| Fault::new("vm_path", error))?;
        if !found.is_empty() {
            return Ok((first, found));
        }
    }
    let answers = join_all(others.into_iter().map(|source| async {
        let found = look_up(&source, vm).await;
        (source, found)
    }))
    .await;
    let mut have = Vec::new();
    let mut failed = None;
    for (source, answer) in answers {
        match answer {
            Ok(found) if found.is_empty() => {}
            Ok(found) => have.push((source, found)),
            Err(error) => failed = Some((source, error)),
        }
    }
    if have.len() > 1 {
        let names = have.iter().map(|(source, _)| source.name.as_str()).collect::<Vec<_>>().join(", ");
        let error = Error::new(
            ErrorKind::Invalid,
            "choose provider",
            format!("{vm} exists at several connections: {names}"),
        )
        .with_advice("say which one with `provider`");
        return Err(Fault::new("provider", error));
    }
    if let Some((source, error)) = failed {
        // Whether the VM is there, too, or only there, cannot be told.
        let error = error.context(format!("ask {} for {vm}, as the job names no provider", source.name));
        return Err(Fault::new("provider", error));
    }
    have.pop().ok_or_else(|| not_found(vm, &all))
}

async fn look_up(source: &NamedProvider, vm: &VmSelector) -> Result<Vec<VmSummary>, Error> {
    source.provider.find(vm).await.inspect_err(|error| {
        let advice = error.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
        tracing::warn!(%vm, provider = %source.name, "look up VM: {}{advice}", error.chain());
    })
}

fn not_found(vm: &VmSelector, asked: &[NamedProvider]) -> Fault {
    let names = asked.iter().map(|source| source.name.as_str()).collect::<Vec<_>>().join(", ");
    let error = Error::new(ErrorKind::NotFound, "find VM", format!("no VM of {names} matches {vm}"))
        .with_advice("GET /vms lists what there is; paths look like /DC0/vm/folder/name");
    Fault::new("vm_path", error)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hypersdk_core::testing::FakeProvider;

    use super::*;

    const PATH: &str = "/DC0/vm/web";

    fn registry(connections: &[(&str, bool)]) -> (ProviderRegistry, Vec<FakeProvider>) {
        let mut registry = ProviderRegistry::new();
        let mut fakes = Vec::new();
        for (name, has_it) in connections {
            let fake = FakeProvider::new(|_, _| String::new());
            if *has_it {
                fake.add_vm(PATH, Vec::new());
            }
            registry.insert(name.parse().unwrap(), Arc::new(fake.clone()));
            fakes.push(fake);
        }
        (registry, fakes)
    }

    async fn chosen(connections: &[(&str, bool)], asked: Option<&str>) -> Result<String, Fault> {
        let (registry, _) = registry(connections);
        let asked = asked.map(|name| name.parse().unwrap());
        source(&registry, asked.as_ref(), &PATH.parse().unwrap())
            .await
            .map(|(source, _)| source.name.to_string())
    }

    #[tokio::test]
    async fn the_one_connection_that_has_the_vm_is_chosen() {
        assert_eq!(chosen(&[("berlin", false), ("paris", true)], None).await.unwrap(), "paris");
        assert_eq!(chosen(&[("default", false), ("paris", true)], None).await.unwrap(), "paris");
        assert_eq!(chosen(&[("default", true), ("paris", true)], None).await.unwrap(), "default");
        assert_eq!(chosen(&[("default", true), ("paris", true)], Some("paris")).await.unwrap(), "paris");
        assert_eq!(chosen(&[("paris", true)], None).await.unwrap(), "paris");
    }

    #[tokio::test]
    async fn several_that_have_it_are_named_and_so_are_those_that_were_asked_in_vain() {
        let fault = chosen(&[("berlin", true), ("paris", true), ("rome", false)], None).await.unwrap_err();
        assert_eq!((fault.field, fault.error.kind()), ("provider", ErrorKind::Invalid));
        assert!(fault.error.to_string().contains("berlin, paris"), "{}", fault.error);
        let fault = chosen(&[("berlin", false), ("paris", false)], None).await.unwrap_err();
        assert_eq!((fault.field, fault.error.kind()), ("vm_path", ErrorKind::NotFound));
        assert!(fault.error.to_string().contains("berlin, paris"), "{}", fault.error);
    }

    #[tokio::test]
    async fn no_choice_is_made_while_one_that_might_have_it_cannot_be_asked() {
        let (registry, fakes) = registry(&[("berlin", true), ("paris", true)]);
        fakes[1].fault_calls([Error::new(ErrorKind::Unavailable, "connect", "refused")]);
        let fault = source(&registry, None, &PATH.parse().unwrap()).await.unwrap_err();
        assert_eq!((fault.field, fault.error.kind()), ("provider", ErrorKind::Unavailable));
        assert!(fault.error.to_string().contains("ask paris"), "{}", fault.error);
    }
}
