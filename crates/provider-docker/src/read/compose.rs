//! What Compose writes in labels: which service a container belongs to, and what it needs first.

use std::collections::BTreeMap;

/// Label: the project.
const PROJECT: &str = "com.docker.compose.project";
/// Label: the service.
const SERVICE: &str = "com.docker.compose.service";
/// Label: which of the service's replicas, from 1.
const NUMBER: &str = "com.docker.compose.container-number";
/// Label: `True` for a container of `compose run`.
const ONE_OFF: &str = "com.docker.compose.oneoff";
/// Label: what must be up before: `db:service_healthy:false,cache:service_started:true`, older `db,cache`.
const DEPENDS_ON: &str = "com.docker.compose.depends_on";

/// A container's place in a Compose project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Compose {
    pub project: String,
    pub service: String,
    pub number: String,
    /// Nothing where Compose has written no label about it.
    pub depends_on: Option<Vec<String>>,
}

/// Reads the labels. `None` for a container that Compose did not create: images built by Compose hand
/// down its project and service, but no number; and for those of `compose run`, which are no replicas.
pub(super) fn read(labels: &BTreeMap<String, String>) -> Option<Compose> {
    let label = |name: &str| labels.get(name).filter(|value| !value.is_empty());
    if label(ONE_OFF).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return None;
    }
    let depends_on = labels.get(DEPENDS_ON).map(|value| {
        let mut services: Vec<String> = value
            .split(',')
            .filter_map(|one| one.split(':').next().map(str::trim))
            .filter(|service| !service.is_empty())
            .map(str::to_owned)
            .collect();
        services.sort_unstable();
        services.dedup();
        services
    });
    Some(Compose {
        project: label(PROJECT)?.clone(),
        service: label(SERVICE)?.clone(),
        number: label(NUMBER)?.clone(),
        depends_on,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(more: &[(&str, &str)]) -> BTreeMap<String, String> {
        [(PROJECT, "shop"), (SERVICE, "web"), (NUMBER, "2")]
            .iter()
            .chain(more)
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn every_form_of_depends_on_is_read() {
        for (text, services) in [
            ("db:service_healthy:false,cache:service_started:true", vec!["cache", "db"]),
            ("db,cache,db", vec!["cache", "db"]),
            ("", vec![]),
        ] {
            assert_eq!(read(&labels(&[(DEPENDS_ON, text)])).unwrap().depends_on.unwrap(), services, "{text}");
        }
        assert_eq!(read(&labels(&[])).unwrap().depends_on, None);
    }

    #[test]
    fn what_an_image_hands_down_and_one_off_runs_are_no_replicas() {
        let mut inherited = labels(&[]);
        inherited.remove(NUMBER);
        assert_eq!(read(&inherited), None);
        assert_eq!(read(&labels(&[(ONE_OFF, "True")])), None);
        assert_eq!(read(&labels(&[(ONE_OFF, "False")])).unwrap().number, "2");
    }
}
