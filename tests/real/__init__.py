"""The gateway in front of a real model on a real inference server (`make test-real`), asked through official SDKs."""
