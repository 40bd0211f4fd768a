import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

settings.configure(
    ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="of a test", DEBUG=False
)
django.setup()


def user(request, name):
    return JsonResponse({"name": name, "tags": request.GET.getlist("tag")})


@csrf_exempt
def form(request):
    return JsonResponse(request.POST.dict())


@csrf_exempt
def upload(request):
    return HttpResponse(request.FILES["file"].read(), content_type="application/octet-stream")


def cookies(request):
    response = HttpResponse(request.COOKIES.get("c", "none"))
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


def stream(request):
    return StreamingHttpResponse((f"line {n}\n" for n in range(1000)), content_type="text/plain")


urlpatterns = [
    path("users/<name>", user),
    path("form", form),
    path("upload", upload),
    path("cookies", cookies),
    path("stream", stream),
]
application = get_wsgi_application()
