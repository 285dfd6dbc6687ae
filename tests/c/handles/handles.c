/* No function follows a handle that is NULL, was never issued, or has been freed; and none writes a result then. */
#include "every_function.h"

static void refused_everywhere(losant_device *device)
{
    check_refused(device, LOSANT_ERR_INVALID_HANDLE);
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_free(device));
}

int main(void)
{
    int local = 0;
    losant_device *device = NULL, *other = NULL;
    refused_everywhere(NULL);
    refused_everywhere((losant_device *)(uintptr_t)1);
    refused_everywhere((losant_device *)(uintptr_t)0xdeadbeef);
    refused_everywhere((losant_device *)UINTPTR_MAX);
    refused_everywhere((losant_device *)&local);

    CHECK_OK(losant_device_new(DEVICE_ID, KEY, SECRET, &device));
    refused_everywhere((losant_device *)((uintptr_t)device + 1));
    refused_everywhere((losant_device *)((uintptr_t)device ^ 0x100000));
    CHECK_OK(losant_device_set_port(device, 1883));
    CHECK_OK(losant_device_free(device));
    refused_everywhere(device);

    /* The handle of a freed device does not come back as another device's. */
    for (int i = 0; i < 1000; i++) {
        CHECK_OK(losant_device_new(DEVICE_ID, KEY, SECRET, &other));
        CHECK(other != device);
        CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_close(device));
        CHECK_OK(losant_device_free(other));
    }
    return 0;
}
