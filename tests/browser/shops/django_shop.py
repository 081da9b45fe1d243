import os
from pathlib import Path

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.template import engines
from django.urls import include, path

from coatcheck import Policy, Site

settings.configure(
    SECRET_KEY="for tests only",
    ROOT_URLCONF="main",
    ALLOWED_HOSTS=["*"],
    BASE_DIR=Path.cwd(),
    LOGGING_CONFIG=None,
    INSTALLED_APPS=["coatcheck.django"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware", "coatcheck.django.AuthMiddleware"],
    SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
    FORCE_SCRIPT_NAME=os.environ.get("PREFIX") or None,
    COATCHECK={
        "url": "sqlite:///app.db",
        "policy": Policy(trusted_proxies=("127.0.0.1",)),
        "site": Site(name="The Shop", logo="logo.svg", color="#7c3aed", home="/mine"),
    },
)
app = get_wsgi_application()

from coatcheck.django import auth, login_required  # noqa: E402

FRONT = """<h1>The Shop</h1>
{% if email %}
<p>Hello {{ email }}</p>
<form method="post" action="auth/logout">{% csrf_token %}<button>Leave</button></form>
<form method="post" action="order">{% csrf_token %}<button>Order</button></form>
{% else %}
<a href="mine">My orders</a>
{% endif %}"""


def front(request):
    email = auth.profile(request.identity).email if request.identity else ""
    return HttpResponse(engines["django"].from_string(FRONT).render({"email": email}, request))


@login_required
def mine(request):
    return HttpResponse('<h1>My orders</h1><a href=".">Back</a>')


@login_required
def order(request):
    return HttpResponse("<h1>Ordered</h1>")


urlpatterns = [
    path("", front),
    path("mine", mine),
    path("order", order),
    path("auth/", include("coatcheck.django.urls")),
]
