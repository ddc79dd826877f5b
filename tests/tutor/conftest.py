import pytest
from rendered import RELEASES, THEIRS, Environment, operator


@pytest.fixture(scope="session")
def rendered(tmp_path_factory):
    """Renders each environment once: of a release or the other plugin, with defaults or an operator's settings."""
    made = {}

    def render(venv, of_operator=None, **keys):
        case = (venv, of_operator, *sorted(keys.items()))
        if case not in made:
            config, patches = {"PLUGINS": ["codejail"], "ID": "of-this-test"}, {}
            if of_operator:
                config, patches = operator(of_operator)["config"], operator(of_operator)["patches"]
            root = tmp_path_factory.mktemp("tutor") / "root"
            made[case] = Environment(venv, root, config | keys, patches)
        saved = made[case].saved
        assert saved.returncode == 0, saved.stderr[-2000:]
        return made[case]

    return render


@pytest.fixture(
    params=[*[(release, None) for release in RELEASES], *[(release, release) for release in RELEASES]], ids=str
)
def environment(request, rendered):
    """Each release with the defaults, and with the configuration of one of its operators."""
    return rendered(*request.param)


@pytest.fixture
def theirs(rendered):
    return rendered(THEIRS, CODEJAIL_ENABLE_K8S_DAEMONSET=True)
