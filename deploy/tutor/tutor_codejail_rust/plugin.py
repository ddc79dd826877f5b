"""What the plugin tells Tutor. Names are tutor-contrib-codejail's: of the plugin, its keys, images, services and
objects of Kubernetes."""

from importlib import resources

import jinja2
from tutor import env, hooks

from . import clone, configuration, image, settings

PACKAGE = resources.files(__package__)


@jinja2.pass_context
def _own_settings(context):
    config = context.get_all()
    configuration.tell(config)
    return settings.to_toml(config)


@jinja2.pass_context
def _dockerfile(context):
    config = context.get_all()

    def render(name):
        return context.environment.from_string(config[name]).render(config)

    return image.dockerfile(image.defaults(config, render))


hooks.Filters.CONFIG_UNIQUE.add_items([("CODEJAIL_SECRET_KEY", "{{ 24|random_string }}")])
hooks.Filters.CONFIG_DEFAULTS.add_items(
    [(f"CODEJAIL_{name}", value) for name, value in (configuration.SHARED | configuration.OWN).items()]
)

hooks.Filters.ENV_TEMPLATE_VARIABLES.add_items(
    [
        ("codejail_own_settings", _own_settings),
        ("codejail_dockerfile", _dockerfile),
        ("codejail_source", image.source),
        ("codejail_seccomp", lambda: clone.text("seccomp.json")),
        ("CODEJAIL_CONFIG_DIRECTORY", settings.CONFIG_DIRECTORY),
        ("CODEJAIL_APP_UID", configuration.APP_UID),
    ]
)
hooks.Filters.ENV_TEMPLATE_FILTERS.add_items(
    [
        ("codejail_settings", settings.to_yaml),
        ("codejail_image", lambda configured: configuration.image("DOCKER_IMAGE", configured)),
        ("codejail_apparmor_image", lambda configured: configuration.image("APPARMOR_DOCKER_IMAGE", configured)),
        ("codejail_mode", configuration.mode),
        ("codejail_capabilities", configuration.capabilities),
        ("codejail_has_apparmor", configuration.has_apparmor),
        ("codejail_memory_bytes", configuration.memory_bytes),
    ]
)

hooks.Filters.ENV_TEMPLATE_ROOTS.add_item(str(PACKAGE / "templates"))
hooks.Filters.ENV_TEMPLATE_TARGETS.add_items(
    [("codejail/build", "plugins"), ("codejail/apps", "plugins"), ("codejail/k8s", "plugins")]
)
for _patch in (PACKAGE / "patches").iterdir():
    hooks.Filters.ENV_PATCHES.add_item((_patch.name, _patch.read_text(encoding="utf-8")))

IMAGE_TAGS = {
    "codejail": "{{ CODEJAIL_DOCKER_IMAGE | codejail_image }}",
    "codejail_apparmor": "{{ CODEJAIL_APPARMOR_DOCKER_IMAGE | codejail_apparmor_image }}",
}
# One Dockerfile: the profiles are those of the service.
CONTEXT = ("plugins", "codejail", "build", "codejail")
hooks.Filters.IMAGES_BUILD.add_items(
    [
        ("codejail", CONTEXT, IMAGE_TAGS["codejail"], ()),
        ("codejail_apparmor", CONTEXT, IMAGE_TAGS["codejail_apparmor"], ("--target=apparmor",)),
    ]
)


@hooks.Filters.IMAGES_PULL.add()
@hooks.Filters.IMAGES_PUSH.add()
def _images_elsewhere(images, config):
    """An image that was built here and has no registry in its name can't be pulled or pushed."""
    elsewhere = [
        (name, tag) for name, tag in IMAGE_TAGS.items() if configuration.is_elsewhere(env.render_str(config, tag))
    ]
    return images + elsewhere


try:
    from tutorpod_autoscaling.hooks import AUTOSCALING_CONFIG
except ImportError:
    pass  # tutor-contrib-pod-autoscaling is not installed.
else:

    @AUTOSCALING_CONFIG.add()
    def _autoscaling(deployments):
        """What the deployment is scaled by, unless an operator has said it: POD_AUTOSCALING_EXTRA_SERVICES."""
        deployments.setdefault(
            "codejail",
            {
                "enable_hpa": True,
                "memory_request": configuration.OWN["MEMORY_REQUEST"],
                "memory_limit": configuration.OWN["MEMORY_LIMIT"],
                "cpu_request": 0.5,
                "cpu_limit": 2,
                "min_replicas": 1,
                "max_replicas": 10,
                # Executions are CPU time. Of a request of half a core this leaves room for a second
                # one.
                "avg_cpu": 150,
                "avg_memory": "",
                "enable_vpa": False,
                "behavior": {},
            },
        )
        return deployments
