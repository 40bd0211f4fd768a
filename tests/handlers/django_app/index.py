"""A Django application in one file; the handler is ``index.app``."""

from django.conf import settings

settings.configure(
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a test",
    ALLOWED_HOSTS=["*"],
    DEBUG=False,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)

from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse
from django.urls import path


def hello(request, name):
    return HttpResponse(f"Hello, {name}! {request.GET.getlist('q')} from {request.get_host()}")


def form(request):
    answer = JsonResponse(request.POST.dict(), status=201)
    answer.set_cookie("a", "1")
    answer.set_cookie("b", "2")
    return answer


urlpatterns = [path("hello/<str:name>", hello), path("form", form)]
app = get_wsgi_application()
