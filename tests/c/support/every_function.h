/* Every function that takes a device, tried with one that it must refuse. */
#ifndef EVERY_FUNCTION_H
#define EVERY_FUNCTION_H

#include "check.h"

static void ignore(losant_device *device, const losant_event *event, void *user_data)
{
    (void)device;
    (void)event;
    (void)user_data;
}

/* All but losant_device_free answer this status, and write no result. */
static void check_refused(losant_device *device, int status)
{
    int fd = 77, timeout = 77;
    uint64_t value = 77;
    CHECK_STATUS(status, losant_device_set_host(device, "localhost"));
    CHECK_STATUS(status, losant_device_set_port(device, 1883));
    CHECK_STATUS(status, losant_device_set_secure(device, false));
    CHECK_STATUS(status, losant_device_set_transport(device, LOSANT_TRANSPORT_TCP));
    CHECK_STATUS(status, losant_device_set_websocket_path(device, "/mqtt"));
    CHECK_STATUS(status, losant_device_add_http_header(device, "X-A", "b"));
    CHECK_STATUS(status, losant_device_set_interface(device, NULL));
    CHECK_STATUS(status, losant_device_set_ca_pem(device, NULL, false));
    CHECK_STATUS(status, losant_device_set_ca_file(device, NULL, false));
    CHECK_STATUS(status, losant_device_set_system_roots(device, true));
    CHECK_STATUS(status, losant_device_set_client_certificate_pem(device, "", ""));
    CHECK_STATUS(status, losant_device_set_client_certificate_files(device, "", ""));
    CHECK_STATUS(status, losant_device_set_keep_alive_seconds(device, 15));
    CHECK_STATUS(status, losant_device_set_receive_commands(device, true));
    CHECK_STATUS(status, losant_device_set_qos(device, 1));
    CHECK_STATUS(status, losant_device_set_reconnect_delay(device, 1, 2));
    CHECK_STATUS(status, losant_device_set_connect_timeout(device, 1000));
    CHECK_STATUS(status, losant_device_set_outbox_limits(device, 1, 1024));
    CHECK_STATUS(status, losant_device_set_when_full(device, LOSANT_WHEN_FULL_DROP_OLDEST));
    CHECK_STATUS(status, losant_device_set_max_in_flight(device, 1));
    CHECK_STATUS(status, losant_device_set_merge_limit(device, 0));
    CHECK_STATUS(status, losant_device_set_strict(device, false));
    CHECK_STATUS(status, losant_device_set_rate_limit(device, 1, 1, 1));
    CHECK_STATUS(status, losant_device_connect(device, true));
    CHECK_STATUS(status, losant_device_connect(device, false));
    CHECK_STATUS(status, losant_device_loop(device, -1));
    CHECK_STATUS(status, losant_device_start(device));
    CHECK(!losant_device_is_connected(device));
    CHECK_STATUS(status, losant_device_close(device));
    CHECK_STATUS(status, losant_device_fd(device, &fd));
    CHECK_STATUS(status, losant_device_next_timeout(device, &timeout));
    CHECK_STATUS(status, losant_device_send_state(device, "{}", 0));
    losant_state state = LOSANT_STATE_INIT;
    state.json = "{}";
    CHECK_STATUS(status, losant_device_send(device, &state, &value));
    CHECK_STATUS(status, losant_device_flush(device, -1));
    CHECK_STATUS(status, losant_device_drain(device, -1));
    losant_stats stats = {.size = 77};
    CHECK_STATUS(status, losant_device_stats(device, &stats, sizeof stats));
    CHECK(stats.size == 77);
    CHECK_STATUS(status, losant_device_add_event_observer(device, LOSANT_EVENT_CONNECT, ignore, NULL, NULL));
    CHECK_STATUS(status, losant_device_remove_event_observer(device, LOSANT_EVENT_CONNECT, ignore, NULL));
    CHECK(fd == 77 && timeout == 77 && value == 77);
}

#endif
