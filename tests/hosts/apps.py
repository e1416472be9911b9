"""Host applications of each kind, with a page of their own and a gateway under ``/ai``."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from asgi_ds2api import DS2APIMiddleware, Gateway

PAGE = "a page of the host"


async def _page(request: Request) -> PlainTextResponse:
    return PlainTextResponse(PAGE)


def starlette_wrapped(gateway: Gateway) -> ASGIApp:
    """Starlette with the middleware, and the gateway's lifespan as its own."""
    app = Starlette(routes=[Route("/page", _page)], lifespan=gateway.lifespan)
    app.add_middleware(DS2APIMiddleware, gateway=gateway, prefix="/ai")
    return app


def starlette_mounted(gateway: Gateway) -> ASGIApp:
    """Starlette with the gateway mounted as an app."""
    return Starlette(routes=[Route("/page", _page), Mount("/ai", app=gateway)])


def fastapi_wrapped(gateway: Gateway) -> ASGIApp:
    """FastAPI with the middleware; the lifespan is the host's, which enters the gateway's."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with gateway.lifespan(app):
            yield

    app = FastAPI(lifespan=lifespan)
    app.add_api_route("/page", _page, methods=["GET"])
    app.add_middleware(DS2APIMiddleware, gateway=gateway, prefix=["/ai", "/also/here"])
    return app


def django_wrapped(gateway: Gateway) -> ASGIApp:
    """Django-ASGI inside the middleware; it has no lifespan, so the gateway starts on the first request."""
    import django
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.http import HttpRequest, HttpResponse
    from django.urls import path

    def page(request: HttpRequest) -> HttpResponse:
        return HttpResponse(PAGE)

    if not settings.configured:
        settings.configure(ROOT_URLCONF=(path("page", page),), ALLOWED_HOSTS=["*"], SECRET_KEY="of the tests alone")
        django.setup()
    return DS2APIMiddleware(get_asgi_application(), gateway=gateway, prefix="/ai")


def bare_wrapped(gateway: Gateway) -> ASGIApp:
    """A bare ASGI callable inside the middleware."""
    return DS2APIMiddleware(PlainTextResponse(PAGE), gateway=gateway, prefix="/ai")


HOSTS: dict[str, Callable[[Gateway], ASGIApp]] = {
    "starlette": starlette_wrapped,
    "starlette-mount": starlette_mounted,
    "fastapi": fastapi_wrapped,
    "django": django_wrapped,
    "bare": bare_wrapped,
}
