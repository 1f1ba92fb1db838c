//! What an app can be granted, by where its patient comes from.

use super::recipient::Refusal;
use crate::smart::launch::LaunchValues;
use crate::smart::scope::{self, Level, ScopeSet};
use crate::store::client::{Client, Role};

/// Where the patient, if any, comes from.
#[derive(Debug)]
pub enum Occasion {
    /// A launch, which delivers this.
    Launch(LaunchValues),
    /// The user will pick.
    ToPick,
    /// The user has picked this, of a launch.
    PickedInLaunch(LaunchValues),
    /// The user has picked this, of the shared data.
    PickedShared(LaunchValues),
    /// There is none.
    NoPatient,
}

/// The occasion of a request that names no launch.
pub fn outside_a_launch(asked: &ScopeSet, client: &Client, standalone: bool) -> Occasion {
    let wanted = asked.within(&ScopeSet::parse(&client.scope));
    let wants_patient = wanted.has("launch/patient") || wanted.has_level(Level::Patient);
    let may_pick = standalone && client.role == Role::App;
    if may_pick && wants_patient { Occasion::ToPick } else { Occasion::NoPatient }
}

/// What of `asked` this client can be granted on this occasion. Of the shared data nobody gets more than to read the
/// compartment of the patient that was picked, so there are no `user/` scopes.
pub fn grantable(asked: &ScopeSet, client: &Client, occasion: &Occasion) -> Result<ScopeSet, Refusal> {
    let registered = ScopeSet::parse(&client.scope);
    let has_resource_scopes =
        [Level::Patient, Level::User, Level::System].into_iter().any(|level| asked.has_level(level));
    let levels: &[Level] = match occasion {
        _ if asked.has("launch") != matches!(occasion, Occasion::Launch(_)) => return Err(Refusal::LaunchScope),
        // Whoever registered it wants it to begin by itself, or not at all.
        Occasion::Launch(_) if !registered.has("launch") => return Err(Refusal::Scope),
        Occasion::NoPatient if client.role == Role::App && has_resource_scopes => return Err(Refusal::NoLaunch),
        Occasion::Launch(values) if values.patient.is_none() => &[Level::User],
        Occasion::NoPatient => &[Level::User],
        Occasion::Launch(_) | Occasion::ToPick | Occasion::PickedInLaunch(_) => &[Level::Patient, Level::User],
        Occasion::PickedShared(_) => &[Level::Patient],
    };
    let delivers = |kind: &str| match occasion {
        Occasion::Launch(values) | Occasion::PickedInLaunch(values) | Occasion::PickedShared(values) => {
            values.delivers(kind)
        }
        Occasion::ToPick => ["patient", "encounter"].contains(&kind),
        Occasion::NoPatient => false,
    };
    let granted =
        asked.within(&registered).only_levels(levels).only_plain(|plain| match plain.strip_prefix("launch/") {
            Some(kind) => delivers(kind),
            None => client.role == Role::Poc || !scope::is_operation(plain),
        });
    let granted = match occasion {
        Occasion::PickedShared(_) => {
            let limit = format!("{} patient/*.rs", granted.clone().only_levels(&[]));
            granted.within(&ScopeSet::parse(&limit))
        }
        _ => granted,
    };
    if granted.is_empty() { Err(Refusal::Scope) } else { Ok(granted) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(role: Role, scope: &str) -> Client {
        Client {
            tenant: i64::from(role == Role::Poc),
            redirect_uris: vec!["https://app.example/cb?keep=1".into()],
            scope: scope.into(),
            ..Client::new("c", role)
        }
    }

    fn granted(role: Role, asked: &str, launched: Option<&LaunchValues>) -> Result<String, &'static str> {
        let all = format!(
            "launch launch/patient launch/encounter openid fhirUser offline_access patient/*.* user/*.* system/*.* {}",
            scope::CONTEXT_ALIAS
        );
        let occasion = launched.map_or(Occasion::NoPatient, |values| Occasion::Launch(values.clone()));
        let scope = grantable(&ScopeSet::parse(asked), &client(role, &all), &occasion);
        scope.map(|scope| scope.to_string()).map_err(|refusal| refusal.code())
    }

    #[test]
    fn within_a_launch_only_what_it_delivers_is_granted() {
        let with_patient = LaunchValues { patient: Some("1".into()), ..Default::default() };
        let empty = LaunchValues::default();
        let asked = "launch launch/patient launch/encounter patient/*.rs user/*.rs system/*.rs Context.write openid";
        assert_eq!(
            granted(Role::App, asked, Some(&with_patient)).unwrap(),
            "launch launch/patient patient/*.rs user/*.rs openid"
        );
        assert_eq!(granted(Role::App, asked, Some(&empty)).unwrap(), "launch user/*.rs openid");
    }

    #[test]
    fn outside_a_launch_an_app_gets_no_data() {
        for scope in ["patient/*.rs", "user/*.rs openid", "system/*.rs"] {
            assert_eq!(granted(Role::App, scope, None), Err("invalid_scope"), "{scope}");
        }
        assert_eq!(granted(Role::App, "launch/patient", None), Err("invalid_scope"));
        assert_eq!(granted(Role::App, "openid fhirUser launch/patient", None).unwrap(), "openid fhirUser");
    }

    #[test]
    fn an_app_that_wants_a_patient_without_a_launch_has_one_picked() {
        let all = client(Role::App, "launch/patient patient/*.rs user/*.rs openid");
        let picks = |asked: &str, client: &Client, standalone| {
            matches!(outside_a_launch(&ScopeSet::parse(asked), client, standalone), Occasion::ToPick)
        };
        for asked in ["launch/patient", "patient/*.rs", "openid patient/Observation.cruds"] {
            assert!(picks(asked, &all, true), "{asked}");
            assert!(!picks(asked, &all, false), "{asked}");
            assert!(!picks(asked, &client(Role::Poc, &all.scope), true), "{asked}");
            assert!(!picks(asked, &client(Role::App, "user/*.rs openid"), true), "{asked}");
        }
        assert!(!picks("openid user/*.rs launch/encounter", &all, true));
    }

    #[test]
    fn what_is_picked_decides_what_can_be_granted() {
        let asked = "launch/patient launch/encounter launch/imagingstudy patient/*.rs user/*.rs system/*.rs openid";
        let app = client(Role::App, asked);
        let granted = |occasion| grantable(&ScopeSet::parse(asked), &app, &occasion).unwrap().to_string();
        let patient = LaunchValues { patient: Some("1".into()), ..Default::default() };
        let visit = LaunchValues { encounter: Some("2".into()), ..patient.clone() };
        let both = "launch/patient launch/encounter patient/*.rs user/*.rs openid";
        assert_eq!(granted(Occasion::ToPick), both);
        assert_eq!(granted(Occasion::PickedInLaunch(visit)), both);
        assert_eq!(granted(Occasion::PickedInLaunch(patient.clone())), "launch/patient patient/*.rs user/*.rs openid");
        assert_eq!(granted(Occasion::PickedShared(patient)), "launch/patient patient/*.rs openid");
        let wide = "launch/patient patient/*.cruds patient/Observation.c patient/*.read openid";
        let picked = Occasion::PickedShared(LaunchValues { patient: Some("1".into()), ..Default::default() });
        let read_only = grantable(&ScopeSet::parse(wide), &client(Role::App, wide), &picked).unwrap().to_string();
        assert_eq!(read_only, "launch/patient patient/*.rs patient/*.read openid");
        let launch = ScopeSet::parse("launch patient/*.rs");
        assert!(matches!(grantable(&launch, &app, &Occasion::ToPick), Err(Refusal::LaunchScope)));
    }

    #[test]
    fn a_point_of_care_system_acts_for_its_user_without_a_launch() {
        let asked = "Context.write user/*.cruds system/*.rs patient/*.rs openid";
        assert_eq!(granted(Role::Poc, asked, None).unwrap(), "Context.write user/*.cruds openid");
    }

    #[test]
    fn launch_scope_and_launch_parameter_come_together() {
        assert_eq!(granted(Role::App, "launch openid", None), Err("invalid_request"));
        assert_eq!(granted(Role::App, "patient/*.rs", Some(&LaunchValues::default())), Err("invalid_request"));
    }
}
