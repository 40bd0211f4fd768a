import os


def tell(order):
    entered = os.open(f"{order['gate']}/entered", os.O_WRONLY)
    here = f"{os.getpid()}:{os.stat('/proc/self/ns/pid').st_ino}"
    os.write(entered, f"{order.get('label', '-')} {here}\n".encode())
    os.close(entered)
