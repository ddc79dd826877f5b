g_dict = json_safe(g_dict)

sys.__stdout__.write(json.dumps(g_dict))
