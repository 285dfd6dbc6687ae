/* No function follows a handle that is NULL, was never issued, or has been freed; and none writes a result then. */
#include "check.h"

static void ignore(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device;
    (void)event;
    (void)user_data;
}

static void refused_everywhere(losant_device *device)
{
    int fd = 77, timeout = 77;
    uint64_t value = 77;
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_set_host(device, "localhost"));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_set_port(device, 1883));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_set_secure(device, false));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_set_transport(device, LOSANT_TRANSPORT_TCP));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_set_websocket_path(device, "/mqtt"));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_set_interface(device, NULL));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_set_ca_pem(device, NULL, false));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_set_ca_file(device, NULL, false));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_set_system_roots(device, true));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_set_client_certificate_pem(device, "", ""));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_set_client_certificate_files(device, "", ""));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_set_keep_alive(device, 15));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_set_qos(device, 1));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_set_reconnect_delay(device, 1, 2));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_set_connect_timeout(device, 1000));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_set_outbox_limits(device, 1, 1024));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_set_when_full(device, LOSANT_WHEN_FULL_DROP_OLDEST));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_set_in_flight(device, 1));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_set_merge_limit(device, 0));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_set_rate_limit(device, 1, 1, 1));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_connect(device, true));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_connect(device, false));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_loop(device, -1));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_start(device));
    CHECK(!losant_device_is_connected(device));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_close(device));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_fd(device, &fd));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_next_timeout(device, &timeout));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_send_state(device, "{}", 0));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_send_state_id(device, "{}", 0, &value));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_send_peripheral_state(device, "p", "{}", 0, &value));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_flush(device, -1));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_close_timeout(device, -1, &value));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_counter(device, LOSANT_COUNTER_SENT, &value));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE,
                 losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, ignore, NULL));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE,
                 losant_device_add_event_observer_with_destructor(device, LOSANT_EVENT_CONNECT, ignore, NULL, NULL));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE,
                 losant_device_remove_event_observer(device, LOSANT_EVENT_CONNECT, ignore, NULL));
    CHECK_STATUS(LOSANT_ERR_INVALID_HANDLE, losant_device_free(device));
    CHECK(fd == 77 && timeout == 77 && value == 77);
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
