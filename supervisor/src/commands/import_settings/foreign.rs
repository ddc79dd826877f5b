//! Settings that concern only the software of the original: the names that Django 5.2, its
//! extensions and a few of the original's settings modules use.

const DJANGO: &str = include_str!("django_names.txt");

/// Why a setting of this name changes nothing here; `None` if the name is not known.
#[must_use]
pub fn why(name: &str) -> Option<&'static str> {
    match name {
        "LOGGING" | "LOGGING_CONFIG" | "LOGGING_FORMAT_STRING" => {
            Some("use log.format and log.level for the log")
        }
        "ALLOWED_HOSTS" => {
            Some("codejail ignores the host name in a request; peers.api says who may ask")
        }
        "SECRET_KEY" | "SECRET_KEY_FALLBACKS" => Some("codejail has no sessions and signs nothing"),
        _ => DJANGO
            .lines()
            .any(|known| known == name)
            .then_some("it is for Django, which codejail does not use"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn djangos_names_are_known_and_others_are_not() {
        for name in [
            "DATABASES",
            "SECRET_KEY",
            "LOGGING_FORMAT_STRING",
            "X_FRAME_OPTIONS",
        ] {
            assert!(why(name).is_some(), "{name}");
        }
        for name in ["CODEJAIL_WORKERS", "DATABASE", "secret_key", ""] {
            assert!(why(name).is_none(), "{name}");
        }
    }

    #[test]
    fn the_list_is_in_order_and_has_no_name_twice() {
        let names: Vec<&str> = DJANGO.lines().collect();
        assert!(names.is_sorted_by(|one, next| one < next));
    }
}
