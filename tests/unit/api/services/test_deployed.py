"""What an image says of itself, and what a service makes of it."""

from __future__ import annotations

import msgspec

from contract.engine_fixtures import busybox_image
from tiffin.api.services.deployed import FoundImage, made
from tiffin.config.deploy import DeploySection
from tiffin.deploy.compose import Asked, Served, compose
from tiffin.oci.image import Image
from tiffin.oci.reference import Reference


def test_the_check_of_somebody_elses_image_says_when_its_service_is_ready() -> None:
    memory, small = busybox_image()
    check = {"Test": ["CMD", "curl", "-f", "http://localhost:8080/up"]}
    run = msgspec.structs.replace(small.config.config, exposed_ports={"8080/tcp": {}}, healthcheck=check)
    image = Image.make(msgspec.structs.replace(small.config, config=run), list(small.manifest.layers), {})
    image.write(memory)
    found = FoundImage(store=memory, image=image, reference=Reference(repository="words"), descriptor=image.descriptor)
    service = compose("words", made(found, Served()), DeploySection(), Asked(), None)
    assert service.template.probe.ready == "/up"
