"""For functions-framework."""


def handler(request):
    return request.get_data()
