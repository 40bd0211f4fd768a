GREETINGS = {"en": "Hello", "de": "Hallo", "zh": "你好"}
